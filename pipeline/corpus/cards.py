"""Files that describe a data set in its folder, and are no data of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.corpus.files import file_format

NOTES = frozenset({"dataset_infos.json", "dataset_info.json", "dataset_dict.json"})


@dataclass(frozen=True)
class FoundFile:
    """A file and the folder that its name is relative to.

    Attributes:
        root: the folder.
        path: the file.
    """

    root: Path
    path: Path


def without_cards(files: list[FoundFile], ignored: list[str]) -> tuple[list[FoundFile], list[str]]:
    """Leave out what describes a data set in its folder: cards, and what the hub's tools note.

    A README is a card only beside files of rows; in a folder of texts it is a text.
    """
    tables = {
        item.path.parent
        for item in files
        if file_format(item.path.name) != "text" and not _is_note(item.path)
    }
    above = {folder for place in tables for folder in (place, *place.parents)}
    cards = [
        item
        for item in files
        if _is_note(item.path) or (item.path.stem.lower() == "readme" and item.path.parent in above)
    ]
    kept = [item for item in files if item not in cards]
    return kept, ignored + [str(item.path) for item in cards]


def _is_note(path: Path) -> bool:
    """Tell whether a file is one that Hugging Face's tools keep about a data set."""
    if path.name == "state.json":
        return any(path.parent.glob("*.arrow"))
    return path.name in NOTES
