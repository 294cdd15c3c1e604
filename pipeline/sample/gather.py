"""Gather a sample corpus: text of this machine and planted cases, in several files and formats."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, InputError, TransientIOError
from pipeline.sample.documents import PlantedCase, SampleDocument
from pipeline.sample.planted import plant
from pipeline.sample.shards import deal, write
from pipeline.sample.sources import Roots, natural

MARKER = "_SAMPLE.json"
MADE_BY = "rote sample"
SETTINGS = "_SAMPLE.toml"
SETTINGS_TEXT = """\
# rote run this-folder --out RUN -c this-folder/_SAMPLE.toml
[report]
title = "Sample of the text on this machine"
apart = ["planted"]   # cases that are there to be found are told apart from what is worst
"""
VERSION = 1  # of what is planted and how text is chosen
MOST_MEGABYTES = 200  # all text is held in memory


@dataclass(frozen=True)
class SampleSummary:
    """What a sample holds; kept in `_SAMPLE.json`, so that a second call need not gather.

    Attributes:
        megabytes: asked for, of 10^6 bytes.
        seed: asked for.
        files: relative to the folder.
        documents: all rows, those with empty or null text included.
        text_bytes: their text in UTF-8.
        sources: number of documents of each group, the first segment of the source.
        planted: the planted cases.
    """

    megabytes: int
    seed: int
    files: tuple[str, ...]
    documents: int
    text_bytes: int
    sources: dict[str, int]
    planted: tuple[PlantedCase, ...]

    def lines(self) -> list[str]:
        """Return the summary as lines for a terminal."""
        groups = ", ".join(f"{group} {count:,}" for group, count in self.sources.items())
        doses = [case.dose for case in self.planted if case.kind in ("whole", "passage")]
        planted = (
            f"planted cases: {len(self.planted)}; {len(doses)} are unique passages, "
            f"each {min(doses)} to {max(doses)} times in the corpus"
        )
        size = f"{self.text_bytes / 1e6:.1f} MB"
        return [
            f"{size}, {self.documents:,} documents, {len(self.files)} files",
            f"documents by source: {groups}",
            planted,
        ]


def gather(
    folder: Path, megabytes: int = 14, seed: int = 1, roots: Roots | None = None
) -> SampleSummary:
    """Build the corpus in `folder` and return what is in it; a finished one is left as it is.

    The same text on the machine and the same seed give the same bytes. An interrupted sample is
    made again.

    Args:
        folder: new or empty, or an earlier sample.
        megabytes: of text, in units of 10^6 bytes; a machine with little text gives less, and the
            planted
        cases (0.5 MB, 2.2 MB from 10 on) are always there.
        seed: chooses text and planted cases.
        roots: where to look; by default what is installed here.

    Raises:
        ConfigError: When the size is out of range.
        InputError: When the folder holds anything else, or a sample made with other settings.
        TransientIOError: When writing fails.
    """
    if not 1 <= megabytes <= MOST_MEGABYTES:
        raise ConfigError(
            "the size of the sample is out of range",
            where="megabytes",
            found=str(megabytes),
            expected=f"1 to {MOST_MEGABYTES}",
            fix="ask for a size in that range",
        )
    settings = {"made_by": MADE_BY, "version": VERSION, "megabytes": megabytes, "seed": seed}
    marker = _claimed(folder, settings)
    if marker.get("finished") and all(
        (folder / name).is_file() for name in marker.get("files", [])
    ):
        if not (folder / SETTINGS).exists():  # a sample of an earlier version
            _write_settings(folder)
        try:
            return _from_marker(marker)
        except (KeyError, TypeError) as error:
            raise _foreign(folder, f"a {MARKER} that is not complete") from error
    planted, record = plant(seed, megabytes)
    budget = megabytes * 1_000_000 - sum(document.text_bytes for document in planted)
    documents = planted + natural(roots or Roots.here(), max(0, budget), seed)
    shards = deal(documents, seed)
    summary = _summary(shards, record, megabytes, seed)
    _write_all(folder, shards, summary, settings, stale=marker.get("files", []))
    return summary


def _summary(
    shards: dict[str, list[SampleDocument]], record: list[PlantedCase], megabytes: int, seed: int
) -> SampleSummary:
    """Return what the documents of a sample add up to."""
    documents = [document for rows in shards.values() for document in rows]
    groups = Counter(document.group for document in documents)
    return SampleSummary(
        megabytes=megabytes,
        seed=seed,
        files=tuple(sorted(shards)),
        documents=len(documents),
        text_bytes=sum(document.text_bytes for document in documents),
        sources=dict(sorted(groups.items())),
        planted=tuple(record),
    )


def _claimed(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the marker of our own folder, {} for a new one.

    Raises:
        InputError: When the folder is not ours, or of other settings.
    """
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise _foreign(folder, "a file")
    marker = _marker(folder)
    if marker.get("made_by") != MADE_BY:
        if any(folder.iterdir()):
            raise _foreign(folder, f"a folder with files and without a {MARKER} of rote")
        return {}
    found = {name: marker.get(name) for name in settings}
    if marker.get("finished") and found != settings:
        raise InputError(
            "the folder holds a sample that was made with other settings",
            where=str(folder),
            found=_shown(found),
            expected=_shown(settings),
            fix="name another folder, or remove this one first",
        )
    return marker


def _shown(settings: dict[str, Any]) -> str:
    """Return settings as a message shows them."""
    return ", ".join(f"{name} {settings[name]}" for name in ("version", "megabytes", "seed"))


def _foreign(folder: Path, found: str) -> InputError:
    """Return the error for a folder that is not ours."""
    return InputError(
        "the sample is not written into a folder that holds something else",
        where=str(folder),
        found=found,
        expected="a new or empty folder, or an earlier sample",
        fix="name another folder",
    )


def _marker(folder: Path) -> dict[str, Any]:
    """Return the marker of a folder, {} when there is none that can be read."""
    try:
        marker = json.loads((folder / MARKER).read_bytes())
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _write_all(
    folder: Path,
    shards: dict[str, list[SampleDocument]],
    summary: SampleSummary,
    settings: dict[str, Any],
    stale: list[str],
) -> None:
    """Write the marker as unfinished, files and settings, then the marker as finished.

    Raises:
        TransientIOError: When writing fails.
    """
    begun = {**settings, "finished": False, "files": sorted({*stale, *summary.files})}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_marker(folder, begun)
        for name in set(stale) - set(summary.files):
            if (folder / name).resolve().is_relative_to(folder.resolve()):
                (folder / name).unlink(missing_ok=True)
        for name, documents in shards.items():
            write(folder, name, documents)
        _write_settings(folder)
        _write_marker(folder, {**settings, "finished": True, **asdict(summary)})
    except OSError as error:
        raise TransientIOError(
            "the sample could not be written",
            where=str(folder),
            found=error.strerror or type(error).__name__,
            fix="see that the folder can be written and has room, then run the same command again",
        ) from error


def _write_settings(folder: Path) -> None:
    """Write the settings that a run on the sample is best made with."""
    (folder / SETTINGS).write_text(SETTINGS_TEXT, encoding="utf-8")


def _write_marker(folder: Path, marker: dict[str, Any]) -> None:
    """Write the marker whole."""
    partial = folder / f"{MARKER}.partial"
    partial.write_text(json.dumps(marker, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / MARKER)


def _from_marker(marker: dict[str, Any]) -> SampleSummary:
    """Return the summary that a marker keeps."""
    planted = tuple(
        PlantedCase(**{**case, "ids": tuple(case["ids"])}) for case in marker["planted"]
    )
    return SampleSummary(
        megabytes=marker["megabytes"],
        seed=marker["seed"],
        files=tuple(marker["files"]),
        documents=marker["documents"],
        text_bytes=marker["text_bytes"],
        sources=marker["sources"],
        planted=planted,
    )
