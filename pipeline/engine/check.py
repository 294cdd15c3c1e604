"""Hold every file of a run folder against what the manifest says of it. Reads only."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.absent import MANIFEST
from pipeline.engine.events import EVENTS
from pipeline.engine.files import SPILL, TEMPORARY, digest_file, files_below
from pipeline.engine.run_folder import CHANGES, OWN_PLACES, SUCCESS, RunFolder, read_run
from pipeline.errors import RunFolderError

MISSING, CHANGED, FOREIGN = "missing", "changed", "foreign"
UNFINISHED, UNTRUE = "unfinished", "untrue"
LISTS = "lists/"  # each file there is a list of the files of the folder that it is named after
NESTED = ("backtest",)  # run folders of their own, within one


@dataclass(frozen=True)
class Difference:
    """Something in a run folder that is not as its manifest says.

    Attributes:
        kind: missing, changed, foreign, unfinished (a killed command left it) or untrue.
        path: below the run folder.
        output: the output that the file is part of; empty for a file of none.
        found: what is there instead, in words.
    """

    kind: str
    path: str
    output: str = ""
    found: str = ""


def check(folder: Path, tables: Collection[str]) -> tuple[int, list[Difference]]:
    """Return how many files were held against the manifest, and every difference.

    Args:
        folder: the run folder.
        tables: the folders that its stages write to.

    Raises:
        RunFolderError: it is none, or its manifest is damaged.
    """
    run = read_run(folder)
    found = [*_recorded(run)]
    found += [*_unrecorded(run, tables), *_untrue(run, {one.path for one in found})]
    files = sum(len(entry["files"]) for entry in run.manifest["outputs"].values())
    for name in NESTED:
        if (folder / name / MANIFEST).exists():
            more, differing = _nested(folder, name)
            files += more
            found += differing
    return files, found


def _recorded(run: RunFolder, prefix: str = "") -> Iterator[Difference]:
    """Yield the files that are missing or have other bytes than were written."""
    for output, entry in run.manifest["outputs"].items():
        for record in entry["files"]:
            path, name = run.folder / record["path"], prefix + record["path"]
            if not path.is_file():
                yield Difference(MISSING, name, output, "nothing there")
            elif path.stat().st_size != record["bytes"]:
                size = f"{path.stat().st_size:,} bytes instead of {record['bytes']:,}"
                yield Difference(CHANGED, name, output, size)
            elif digest_file(path) != record["digest"]:
                yield Difference(CHANGED, name, output, "other bytes than were written")


def _unrecorded(run: RunFolder, tables: Collection[str]) -> Iterator[Difference]:
    """Yield what has no entry: left by a killed command, or of someone else."""
    recorded = {r["path"] for entry in run.manifest["outputs"].values() for r in entry["files"]}
    for path in files_below(run.folder, tables):
        name = path.relative_to(run.folder).as_posix()
        if path.name.endswith(TEMPORARY):
            yield Difference(UNFINISHED, name, found="a file that was being written")
        elif name == f"kept/{SUCCESS}" and name not in recorded:
            yield Difference(UNTRUE, name, found="the filter has not finished")
        elif name not in recorded:
            yield Difference(FOREIGN, name, found="not written by rote")
    ours = {MANIFEST, *tables, *OWN_PLACES, Path(EVENTS).parts[0]}
    for path in sorted(run.folder.iterdir()):
        unfinished = path.name.endswith(TEMPORARY) or path.name.startswith(SPILL)
        if unfinished or path.name == CHANGES:
            yield Difference(UNFINISHED, path.name, found="left by a command that was killed")
        elif path.name not in ours:
            yield Difference(FOREIGN, path.name, found="not written by rote")


def _untrue(run: RunFolder, known: Collection[str]) -> Iterator[Difference]:
    """Yield the lists of kept/ and removed/ that do not name the files that were written.

    Args:
        run: the run folder.
        known: files that are missing or changed, which was said.
    """
    written = [
        (output, record)
        for output, entry in run.manifest["outputs"].items()
        for record in entry["files"]
    ]
    for output, own in written:
        if not own["path"].startswith(LISTS) or own["path"] in known:
            continue
        folder = Path(own["path"]).stem
        listed = json.loads((run.folder / own["path"]).read_bytes())["files"]
        told = {one["path"]: one["digest"] for one in listed}
        expected = {
            record["path"].removeprefix(f"{folder}/"): record["digest"]
            for _, record in written
            if record["table"] == folder
        }
        if told != expected:
            yield Difference(UNTRUE, own["path"], output, "other files than were written")


def _nested(folder: Path, name: str) -> tuple[int, list[Difference]]:
    """Return the files and the differences of a run folder within the run folder."""
    try:
        run = read_run(folder / name)
    except RunFolderError as error:
        return 0, [Difference(CHANGED, f"{name}/{MANIFEST}", found=error.what)]
    files = sum(len(entry["files"]) for entry in run.manifest["outputs"].values())
    return files, list(_recorded(run, f"{name}/"))
