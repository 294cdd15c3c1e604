"""The manifest of a run folder as a file: sealed by a digest of its own, checked when it is read.

A run folder may come from anyone, so it is data: a manifest whose form is not ours is refused, and
so is one that names a file outside its folder.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.absent import MANIFEST, no_run
from pipeline.engine.facts import fault_of_facts
from pipeline.errors import RunFolderError
from pipeline.sealed import DIGEST, sealed, unsealed
from schemas.manifest import SCHEMA_VERSION

REBUILD = "rebuild it: rote run CORPUS... --out NEW_FOLDER"


class _Record(BaseModel):
    """A file of an output, as in `FileRecord`."""

    table: str
    path: str
    rows: int
    bytes: int
    digest: str


class _MadeFrom(BaseModel):
    """What an output that its stage can go on from was made from: digests, inputs by output.

    Of a map its shards: number, name, name of the output, digest of the bytes, format.
    """

    besides: str
    read: dict[str, str]
    shards: list[list[int | str]] = []


class _Output(BaseModel):
    fingerprint: str
    facts: dict[str, Any]
    files: list[_Record]
    digest: str = ""
    rows_in: int = 0
    rows_out: int = 0
    made_from: _MadeFrom | None = None


class _Shard(BaseModel):
    number: int
    group: int
    name: str
    path: str
    format: str
    bytes: int
    mtime_ns: int
    tail_digest: str
    active: bool
    content_digest: str | None
    documents: int | None
    rejected: dict[str, int] | None


class _Corpus(BaseModel):
    roots: list[str]
    skipped: dict[str, str]
    shards: list[_Shard]


class _Manifest(BaseModel):
    rote: int
    version: str
    scan: int
    config: dict[str, Any]
    corpus: _Corpus
    outputs: dict[str, _Output]


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """Return the bytes of a manifest as a file: its own digest first, outputs by name."""
    return sealed({**manifest, "outputs": dict(sorted(manifest["outputs"].items()))})


def load_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run folder.

    Raises:
        RunFolderError: there is none, it is damaged, of another version, or names files outside.
    """
    path = folder / MANIFEST
    require_file(path)
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise no_run(folder) from error
    except OSError as error:
        raise RunFolderError(
            "The manifest of this run folder cannot be read.",
            where=str(path),
            found=str(error.strerror),
            fix="mend that, then run the same command again",
        ) from error
    manifest = _parsed(path, data)
    for name in _paths(manifest):
        require_below(folder, name, str(path))
    _require_no_links(folder, manifest, str(path))
    return manifest


def saved_config(folder: Path) -> dict[str, Any]:
    """Return the configuration that a run folder was last worked on with."""
    return dict(load_manifest(folder)["config"])


def require_file(path: Path) -> None:
    """Refuse a pipe, a socket or a device in place of a file: to read it would never end.

    What is not there, and a folder, are told by whoever reads it.

    Raises:
        RunFolderError: it is one of these, or a link to one.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise RunFolderError(
            "A file of this run folder is no file.",
            where=str(path),
            found="a pipe, a socket or a device",
            expected="a file that rote wrote",
            fix="remove it, and ask who put it there; then run the same command again",
        )


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    """Return what the file says, its digest taken off.

    Raises:
        RunFolderError: it is damaged, of another version, or not of our form.
    """
    manifest = unsealed(data)
    if manifest is None:
        _refuse_other_version(path, data)
        raise damaged_manifest(path, "another digest than the one that it was written with")
    if manifest.get("rote") != SCHEMA_VERSION:
        raise _of_another_version(path, manifest)
    try:
        _Manifest.model_validate(manifest, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in first["loc"])[:200]
        raise damaged_manifest(path, f"{at}: {first['msg']}") from error
    for output, entry in manifest["outputs"].items():
        fault = fault_of_facts(output.partition("/")[0], entry["facts"])
        if fault:
            raise damaged_manifest(path, f"{output[:60]}: {fault}")
    return manifest


def _refuse_other_version(path: Path, data: bytes) -> None:
    """Refuse what is no JSON, and what never had a digest of ours: an older one, or another's."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise damaged_manifest(path, f"no JSON: {str(error)[:200]}") from error
    if not isinstance(value, dict) or (DIGEST not in value and value.get("rote") != SCHEMA_VERSION):
        raise _of_another_version(path, value)


def _of_another_version(path: Path, value: Any) -> RunFolderError:  # noqa: ANN401 - what JSON holds
    found = value.get("rote") if isinstance(value, dict) else None
    return RunFolderError(
        "This run folder is of another version, or not of rote.",
        where=str(path),
        found=f"version {found}"[:100],
        expected=f"version {SCHEMA_VERSION}",
        fix=REBUILD,
    )


def damaged_manifest(path: Path, found: str) -> RunFolderError:
    """Return the error for a manifest that does not hold what rote writes."""
    return RunFolderError(
        "The manifest of this run folder is damaged.", where=str(path), found=found, fix=REBUILD
    )


def _paths(manifest: dict[str, Any]) -> Iterator[str]:
    """Yield every name in a manifest that is a path below the run folder, or becomes one."""
    for entry in manifest["outputs"].values():
        for record in entry["files"]:
            yield record["path"]
    for shard in manifest["corpus"]["shards"]:
        yield shard["name"]


def require_below(folder: Path, name: str, where: str) -> Path:
    """Return the path of a name below a folder.

    Args:
        folder: the run folder.
        name: a relative path with forward slashes.
        where: what an error names as the place where the name stands.

    Raises:
        RunFolderError: the name is absolute, empty, or goes up.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise _outside(name, where, "a path that leads out of the run folder")
    return folder / name


def require_no_link(folder: Path, path: str, where: str, known: set[Path] | None = None) -> None:
    """Refuse a path below a folder when it, or a folder on the way to it, is a symbolic link.

    Args:
        folder: the run folder.
        path: below it.
        where: what an error names as the place where the path stands.
        known: folders that were found to be no links before; added to.

    Raises:
        RunFolderError: there is such a link.
    """
    known = set() if known is None else known
    place = folder / path
    if place.is_symlink():
        raise _outside(path, where, "a symbolic link")
    for parent in place.parents:
        if parent == folder or parent in known:
            return
        if parent.is_symlink():
            raise _outside(path, where, f"{parent.relative_to(folder)} is a symbolic link")
        known.add(parent)


def _require_no_links(folder: Path, manifest: dict[str, Any], where: str) -> None:
    known: set[Path] = set()
    for entry in manifest["outputs"].values():
        for record in entry["files"]:
            require_no_link(folder, record["path"], where, known)


def _outside(name: str, where: str, found: str) -> RunFolderError:
    return RunFolderError(
        "This run folder names a file outside of it; nothing was touched.",
        where=where,
        found=f"{name}: {found}",
        expected="files of the run folder itself, without symbolic links",
        fix="if it is yours, put the file or folder back in place of the link; "
        "else do not use this folder",
    )
