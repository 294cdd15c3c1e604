"""The run folder: its lock, and its manifest, which is the only state of a run.

The entry of a finished file in `manifest.json` is written last, so a file without an entry does not
exist. Resume, skipping and provenance are this one mechanism.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.engine.files import SPILL, TEMPORARY, digest_file, sync
from pipeline.errors import RunFolderError
from schemas.manifest import SCHEMA_VERSION

MANIFEST = "manifest.json"
LOCK = ".lock"
# of the files in a stage's folders; one that someone else put beside ours is left alone
OWN_SUFFIXES = frozenset(
    {".parquet", ".json", ".jsonl", ".bloom", ".safetensors", ".html", TEMPORARY}
)
SUCCESS = "_SUCCESS"


class RunFolder:
    """A run folder: its place, and its manifest in memory.

    Attributes:
        folder: where it is.
        manifest: what `manifest.json` holds, or will hold after `save`.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self._sound: set[str] = set()

    def fresh(self, output: str, fingerprint: str, *, verify: bool = False) -> bool:
        """Tell whether an output was made from exactly this and its files are all there.

        With `verify` their bytes are read, else their sizes are trusted.
        """
        entry = self.manifest["outputs"].get(output)
        if entry is None or entry["fingerprint"] != fingerprint:
            return False
        for record in entry["files"]:
            path = self.folder / record["path"]
            if not path.is_file() or path.stat().st_size != record["bytes"]:
                return False
        return not verify or self.damaged(output) is None

    def damaged(self, output: str) -> Path | None:
        """Return the first file of an output that has other bytes than were written.

        An output that this process wrote or has found sound is not read again.
        """
        if output not in self._sound:
            for record in self.manifest["outputs"][output]["files"]:
                path: Path = self.folder / record["path"]
                if digest_file(path) != record["digest"]:
                    return path
            self._sound.add(output)
        return None

    def forget(self, outputs: Sequence[str]) -> None:
        """Remove the entries and files of outputs to be made again or no longer wanted."""
        known = [output for output in outputs if output in self.manifest["outputs"]]
        if not known:
            return
        entries = [self.manifest["outputs"].pop(output) for output in known]
        self._sound.difference_update(known)
        self.save()
        for entry in entries:
            for record in entry["files"]:
                (self.folder / record["path"]).unlink(missing_ok=True)

    def commit(self, output: str, entry: dict[str, Any]) -> None:
        """Make a finished output exist."""
        self.manifest["outputs"][output] = entry
        self._sound.add(output)
        self.save()

    def save(self) -> None:
        """Write the manifest whole."""
        self.manifest["outputs"] = dict(sorted(self.manifest["outputs"].items()))
        data = json.dumps(self.manifest, indent=1, ensure_ascii=False).encode()
        temporary = self.folder / f"{MANIFEST}{TEMPORARY}"
        temporary.write_bytes(data)
        sync(temporary)
        temporary.replace(self.folder / MANIFEST)
        sync(self.folder)

    def event(self, event: dict[str, Any]) -> None:
        """Append one line to the log of events: the only place where times are written."""
        path = self.folder / "events" / "stages.jsonl"
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(event) + "\n")

    def tables(self, without: Collection[str] = ()) -> dict[str, list[Path]]:
        """Return the files of each table but some, in order of their outputs' names."""
        entries = [entry for _, entry in sorted(self.manifest["outputs"].items())]
        return {
            table: [self.folder / path for path in paths]
            for table, paths in tables_of(entries).items()
            if table not in without
        }

    def paths(self, table: str) -> list[Path]:
        """Return the files of a table, in order of their outputs' names; empty without one."""
        return self.tables().get(table, [])

    def sweep(self, tables: Collection[str]) -> None:
        """Delete what a killed run left: spilled data, and files of tables without an entry."""
        known = {
            record["path"]
            for entry in self.manifest["outputs"].values()
            for record in entry["files"]
        }
        for path in self.folder.glob(f"{SPILL}*"):
            shutil.rmtree(path, ignore_errors=True)
        for name in sorted(set(tables)):
            for path in sorted((self.folder / name).rglob("*"), reverse=True):
                if path.is_dir():
                    with contextlib.suppress(OSError):  # not empty: it holds known files
                        path.rmdir()
                elif (path.suffix in OWN_SUFFIXES or path.name == SUCCESS) and path.relative_to(
                    self.folder
                ).as_posix() not in known:
                    path.unlink()


def tables_of(entries: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the files of each table that outputs wrote, in the order of their manifest entries."""
    tables: dict[str, list[str]] = {}
    for entry in entries:
        for record in entry["files"]:
            tables.setdefault(record["table"], []).append(record["path"])
    return {table: tuple(paths) for table, paths in tables.items()}


def digest_of(value: Any) -> str:  # noqa: ANN401 - what JSON can hold
    """Return the BLAKE2b-128 of a plain value, as hex; the order of names does not matter."""
    data = json.dumps(value, sort_keys=True).encode()
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_run(folder: Path) -> RunFolder:
    """Return a run folder to read.

    Raises:
        RunFolderError: it is none, is damaged, or of another version.
    """
    return RunFolder(folder, load_manifest(folder))


def load_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run folder.

    Raises:
        RunFolderError: it is none, is damaged, or of another version.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise RunFolderError(
            "This is not a run folder.",
            where=str(folder),
            found="no manifest.json",
            fix="make one: rote run CORPUS... --out FOLDER",
        ) from error
    except ValueError as error:
        raise RunFolderError(
            "The manifest of this run folder is damaged.",
            where=str(path),
            found=str(error),
            fix="rebuild it: rote run CORPUS... --out NEW_FOLDER",
        ) from error
    if not isinstance(manifest, dict) or manifest.get("rote") != SCHEMA_VERSION:
        found = manifest.get("rote") if isinstance(manifest, dict) else None
        raise RunFolderError(
            "This run folder is of another version, or not of rote.",
            where=str(path),
            found=f"version {found}",
            expected=f"version {SCHEMA_VERSION}",
            fix="rebuild it: rote run CORPUS... --out NEW_FOLDER",
        )
    return manifest


@contextlib.contextmanager
def open_run(
    folder: Path, *, tables: Collection[str] = (), create: dict[str, Any] | None = None
) -> Iterator[RunFolder]:
    """Open a run folder for writing, alone, and sweep away what a killed run left in it.

    The lock is the kernel's (flock), so a killed process leaves none behind.

    Args:
        folder: where it is.
        tables: those whose files without an entry are swept away: those of the stages to run.
        create: the manifest to make it with when it is not there; None to refuse then.

    Raises:
        RunFolderError: it holds anything that is not ours, or another process is writing to it.
    """
    if create is None:
        load_manifest(folder)
    else:
        refuse_foreign(folder)
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if create is not None and not (folder / MANIFEST).exists():
            RunFolder(folder, create).save()
        run = RunFolder(folder, load_manifest(folder))
        run.sweep(tables)
        yield run


def refuse_foreign(folder: Path) -> None:
    """Refuse an output that is neither new nor empty nor a run folder.

    Raises:
        RunFolderError: for such a one; nothing was touched.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunFolderError(
            "The output is a file.", where=str(folder), expected="a new or empty folder, or a run"
        )
    if (folder / MANIFEST).exists():
        load_manifest(folder)  # a manifest of something else is refused before the lock is made
        return
    foreign = sorted(
        path.name for path in folder.iterdir() if path.name not in {LOCK, f"{MANIFEST}{TEMPORARY}"}
    )
    if foreign:
        raise RunFolderError(
            "The output folder holds files that are not of rote; nothing was touched.",
            where=str(folder),
            found=", ".join(foreign[:5])
            + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""),
            expected="a new or empty folder, or a run folder",
            fix="name another folder with --out",
        )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / LOCK).open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.seek(0)
            raise RunFolderError(
                "Another rote is writing to this run folder.",
                where=str(folder),
                found=f"process {stream.read().strip() or 'unknown'}",
                fix="wait for it to end, or use another --out",
            ) from error
        stream.truncate(0)
        stream.write(f"{os.getpid()}")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)
