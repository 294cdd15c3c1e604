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

from pipeline.absent import MANIFEST
from pipeline.engine.events import EVENTS, EventLog
from pipeline.engine.files import (
    SPILL,
    TEMPORARY,
    damaged_file,
    digest_file,
    files_below,
    is_spilled,
    named,
    waiting,
    write_whole,
)
from pipeline.engine.manifest import (
    load_manifest,
    manifest_bytes,
    require_below,
    require_file,
    require_no_link,
)
from pipeline.engine.system import writing
from pipeline.errors import RunFolderError
from pipeline.names import shown
from pipeline.sealed import sealed, unsealed

LOCK = ".lock"
CHANGES = ".changes"
"""Lists the files that are being named or deleted, while they are: what a kill leaves is known."""
OWN_PLACES = (LOCK, CHANGES, EVENTS, ".unfinished", "backtest")  # besides the folders of tables
SUCCESS = "_SUCCESS"


class RunFolder:
    """A run folder: its place, and its manifest in memory.

    Attributes:
        folder: where it is.
        manifest: what `manifest.json` holds, or will hold after `save`.
        foreign: files that the last sweep found in folders of ours and that are not ours.
        log: its log of events.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.foreign: list[str] = []
        self.log = EventLog(folder)
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
        files = [path for output in known for path in self._files(output)]
        with self._changing(files):
            for output in known:
                del self.manifest["outputs"][output]
            self._sound.difference_update(known)
            self.save()

    def commit(self, output: str, entry: dict[str, Any]) -> None:
        """Make one finished output exist; see `commit_all`."""
        self.commit_all({output: entry})

    def commit_all(self, entries: Mapping[str, dict[str, Any]]) -> None:
        """Make finished outputs exist: their files get their names, then the former ones go.

        Another output that had a file of one of these names is out of date from then on. Its other
        files keep their entry: its own unit, which may be at work, can go on from them.

        Raises:
            RunFolderError: a file that is not ours is in the way of one of them.
            IntegrityError: a file that is taken over as it lay is there no more.
        """
        outputs = self.manifest["outputs"]
        records = [record for entry in entries.values() for record in entry["files"]]
        finals = waiting(self.folder / record["path"] for record in records)
        made = {final.relative_to(self.folder).as_posix() for final in finals}
        self._require_free(made)
        self._require_there({record["path"] for record in records} - made)
        former = [output for output in outputs if output in entries]
        others = [o for o in outputs.keys() - entries if not made.isdisjoint(self._files(o))]
        with self._changing([*made, *(path for name in former for path in self._files(name))]):
            named(finals)
            self._sound.difference_update([*former, *others])
            for name in (*former, *others):
                left = _without(outputs.pop(name), made)
                if name in others and left["files"]:
                    outputs[name] = left
            outputs.update(entries)
            self._sound.update(entries)
            self.save()

    def _files(self, output: str) -> list[str]:
        return [record["path"] for record in self.manifest["outputs"][output]["files"]]

    def _recorded(self) -> set[str]:
        return {path for output in self.manifest["outputs"] for path in self._files(output)}

    def _require_free(self, names: Collection[str]) -> None:
        """Refuse to write over a file of someone else."""
        there = [name for name in sorted(names) if os.path.lexists(self.folder / name)]
        foreign = set(there) - self._recorded() if there else set()
        if foreign:
            raise RunFolderError(
                "A file that rote did not write is in the way of one that it makes.",
                where=str(self.folder / min(foreign)),
                fix="move it away and run the same command again: what is finished stays",
            )

    def _require_there(self, names: Collection[str]) -> None:
        """Refuse to record files that are taken over as they lay and that are there no more.

        Raises:
            IntegrityError: one is not.
        """
        for name in sorted(names):
            if not (self.folder / name).is_file():
                raise damaged_file(self.folder / name, "gone while its unit went on from it")

    @contextlib.contextmanager
    def _changing(self, files: Iterable[str]) -> Iterator[None]:
        """Note files on disk while they are named, or lose their entry; delete those without one.

        After an error the note stays, and the next opening does what is left to do.
        """
        noted = sorted(set(files))
        note = self.folder / CHANGES
        if noted:
            write_whole(note, sealed({"files": noted}))
        yield
        if noted:
            self._delete_unrecorded(noted)
            note.unlink()

    def _delete_unrecorded(self, files: Iterable[str]) -> None:
        """Delete files of ours that have no entry, and folders that are empty then."""
        recorded = self._recorded()
        for name in files:
            if name not in recorded:
                self._delete(self.folder / name)

    def _delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == self.folder:
                break
            with contextlib.suppress(OSError):  # it holds other files
                parent.rmdir()

    def settle(self) -> None:
        """Do what a killed command left undone: drop outputs whose files it was naming.

        Raises:
            RunFolderError: the note of these is a pipe or a device.
        """
        note = self.folder / CHANGES
        require_file(note)
        try:
            found = unsealed(note.read_bytes()) or {}  # else it died before it changed anything
        except FileNotFoundError:
            return
        names = {str(name) for name in found.get("files", ())}
        known: set[Path] = set()
        for name in names:
            require_below(self.folder, name, str(note))
            require_no_link(self.folder, name, str(note), known)
        outputs = self.manifest["outputs"]
        touched = [output for output in outputs if not names.isdisjoint(self._files(output))]
        broken = [output for output in touched if not self.whole(output)]
        for output in broken:
            names.update(self._files(output))
            del outputs[output]
        if broken:
            self.save()
        self._delete_unrecorded(sorted(names))
        note.unlink()

    def whole(self, output: str) -> bool:
        """Tell whether all files of an output are there and as they were written."""
        try:
            return self.damaged(output) is None
        except FileNotFoundError:
            return False

    def save(self) -> None:
        """Write the manifest whole."""
        write_whole(self.folder / MANIFEST, manifest_bytes(self.manifest))

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
        """Delete what a killed run left, and nothing else.

        That is data put aside, temporary files, an empty _SUCCESS that is not true, and what
        `settle` knows of. Whatever else has no entry is someone else's: it stays, and is noted as
        `foreign`.

        Args:
            tables: the folders that stages write to.
        """
        self.settle()
        for path in filter(is_spilled, self.folder.glob(f"{SPILL}*")):
            shutil.rmtree(path, ignore_errors=True)
        recorded = self._recorded()
        self.foreign = []
        for place in [*files_below(self.folder, tables)]:
            name = place.relative_to(self.folder).as_posix()
            if place.name.endswith(TEMPORARY) or (name not in recorded and _is_mark(place)):
                self._delete(place)
            elif name not in recorded:
                self.foreign.append(name)


class RunAsRecorded(RunFolder):
    """A run folder of which the records alone count: a file that is gone makes nothing stale.

    Else an answer would change with a file that it does not rest on; those that it reads are
    checked by whoever reads them.
    """

    def fresh(self, output: str, fingerprint: str, *, verify: bool = False) -> bool:  # noqa: ARG002
        """Tell whether an output was made from exactly this."""
        entry = self.manifest["outputs"].get(output)
        return entry is not None and bool(entry["fingerprint"] == fingerprint)


def _without(entry: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return the entry of an output that has lost files of some names: current for nothing."""
    files = [record for record in entry["files"] if record["path"] not in names]
    left = {name: value for name, value in entry.items() if name != "made_from"}
    return {
        **left,
        "fingerprint": digest_of(["without files", entry["fingerprint"]]),
        "digest": digest_of([files, entry["facts"]]),
        "files": files,
    }


def _is_mark(path: Path) -> bool:
    return path.name == SUCCESS and not path.is_symlink() and path.stat().st_size == 0


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


def noted(manifest: dict[str, Any], key: str) -> dict[str, str]:
    """Return a digest of what a manifest has under a key, by a name for it; nothing without any."""
    return {f"recalled/{key}": digest_of(manifest[key])} if manifest.get(key) else {}


def read_run(folder: Path) -> RunFolder:
    """Return a run folder to read.

    Raises:
        RunFolderError: it is none, is damaged, or of another version.
    """
    return RunFolder(folder, load_manifest(folder))


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
    with writing(folder):
        if create is None:
            load_manifest(folder)
        else:
            refuse_foreign(folder)
            folder.mkdir(parents=True, exist_ok=True)
        known: set[Path] = set()
        for name in (*OWN_PLACES, *tables):
            require_no_link(folder, name, str(folder), known)
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
            found=", ".join(shown(name) for name in foreign[:5])
            + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""),
            expected="a new or empty folder, or a run folder",
            fix="name another folder with --out",
        )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with os.fdopen(handle, "r+") as stream:
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
