"""Files that describe a data set in its folder, and are no data of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

NOTES = frozenset({"dataset_infos.json", "dataset_info.json", "dataset_dict.json"})


@dataclass(frozen=True)
class FoundFile:
    """A file and the folder that its name is relative to.

    Attributes:
        root: the folder.
        path: the file.
        format: that it is read as.
    """

    root: Path
    path: Path
    format: str


def without_cards(files: list[FoundFile], ignored: list[str]) -> tuple[list[FoundFile], list[str]]:
    """Leave out what describes a data set in its folder: cards, and what the hub's tools note.

    A README is a card only beside files of rows; in a folder of texts it is a text.
    """
    tables = {
        item.path.parent for item in files if item.format != "text" and not _is_note(item.path)
    }
    above = {folder for place in tables for folder in (place, *place.parents)}
    cards = [
        item
        for item in files
        if _is_note(item.path) or (item.path.stem.lower() == "readme" and item.path.parent in above)
    ]
    cards += _caches(files)
    kept = [item for item in files if item not in cards]
    return kept, ignored + [str(item.path) for item in cards]


def _caches(files: list[FoundFile]) -> list[FoundFile]:
    """Return Arrow files beside a saved data set that are none of its rows, but caches of maps."""
    found, of_folder = list[FoundFile](), dict[Path, frozenset[str]]()
    for item in files:
        folder = item.path.parent
        if item.path.suffix != ".arrow":
            continue
        if folder not in of_folder:
            of_folder[folder] = _saved_files(folder / "state.json")
        if of_folder[folder] and item.path.name not in of_folder[folder]:
            found.append(item)
    return found


def _saved_files(state: Path) -> frozenset[str]:
    """Return the files of rows that a saved data set notes; empty where there is no such note."""
    try:
        noted = json.loads(state.read_bytes())["_data_files"]
        return frozenset(str(entry["filename"]) for entry in noted)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return frozenset()


def _is_note(path: Path) -> bool:
    """Tell whether a file is one that Hugging Face's tools keep about a data set."""
    if path.name == "state.json":
        return any(path.parent.glob("*.arrow"))
    return path.name in NOTES
