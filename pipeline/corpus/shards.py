"""Finding the corpus: files, folders and globs become shards with stable names."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from pipeline.absent import no_corpus, placed
from pipeline.corpus.cards import FoundFile, without_cards
from pipeline.corpus.files import (
    INDEXES,
    NOTHING,
    Further,
    file_format,
    known_suffixes,
    reading,
    suffix_of,
)
from pipeline.corpus.listed import is_list, paths_of
from pipeline.corpus.splits import TOP_FOLDER, TRAIN, labels, source_group, split_of
from pipeline.corpus.table_folders import NOTED, table_files
from pipeline.errors import InputError
from pipeline.storage.addresses import is_address
from pipeline.storage.lent import TAIL_BYTES, identity_of, tail_digest

BLOCK_BYTES = 1 << 20
MOST_DEEP = 4  # parts ** of a glob: each further one multiplies the ways to match a path


@dataclass(frozen=True)
class Shard:
    """One input file.

    Size, time and tail tell an unchanged file without reading all of it.

    Attributes:
        number: in the registry of the run; `find_shards` counts provisionally.
        group: of shards that are read as one unit of work, in the registry likewise.
        name: root-relative path with `/`, unique in the corpus.
        path: absolute.
        format: parquet, jsonl, arrow, lance, csv, text or tokens.
        bytes: size of the file.
        mtime_ns: time of the last change.
        tail_digest: BLAKE2b-128 of the last 64 KiB, where Parquet and Arrow files keep their
            footers.
        source_group: of its rows, where they have no source.
        split: train, validation or test, where the corpus has several; else None.
    """

    number: int
    group: int
    name: str
    path: str
    format: str
    bytes: int
    mtime_ns: int
    tail_digest: str
    source_group: str = TOP_FOLDER
    split: str | None = None


def find_shards(
    corpus: Sequence[str], more: Further = NOTHING, *, own: bool = False
) -> tuple[list[Shard], list[str]]:
    """Return the shards of the files, folders and globs of a corpus by name, and the paths ignored.

    Ignored in folders and globs: names that start with `.` or `_` (a whole folder is one entry;
    those with `_` not for suffixes that were asked for), unknown suffixes, and run folders of rote.
    The result does not depend on the order of `corpus`.

    Args:
        corpus: files, folders and globs.
        more: what is read beside the known suffixes.
        own: a run may read its own files, as the back-test does.

    Raises:
        InputError: When a root does not exist, is empty, holds nothing readable, or lies in a run
            folder.
    """
    once, ignored = _found(corpus, more, own=own)
    names = _names(once)
    shards = [
        _shard(number, name, item) for number, (name, item) in enumerate(sorted(names.items()))
    ]
    shards = _placed(shards, {str(item.path): item.root for item in once})
    return shards, sorted(ignored - {shard.path for shard in shards})


def named_files(corpus: Sequence[str], more: Further = NOTHING) -> dict[str, Path]:
    """Return the files of a corpus of this machine by the names of their shards; opens none.

    Raises:
        InputError: When a root does not exist, is empty, holds nothing readable, or lies in a run
            folder.
    """
    return {name: item.path for name, item in _names(_found(corpus, more, own=False)[0]).items()}


def _found(corpus: Sequence[str], more: Further, *, own: bool) -> tuple[list[FoundFile], set[str]]:
    """Return each file of a corpus once, and the paths ignored."""
    found: list[FoundFile] = []
    ignored: set[str] = set()
    for root in corpus:
        files, skipped = _expand(root, more, own=own)
        if not files:
            raise _nothing_readable(root, skipped)
        found += files
        ignored |= set(skipped)
    if not found:
        raise InputError("No corpus was named.", expected="files, folders or globs")
    return _once(found), ignored


def identify(path: Path) -> tuple[int, int, str]:
    """Return size in bytes, modification time in ns and the BLAKE2b-128 hex of the last 64 KiB.

    Raises:
        CorruptFile: When the file is not there any more, or cannot be read.
    """
    known = identity_of(path)
    if known is not None:
        return known
    with reading(str(path)):
        return _identify(path)


def _identify(path: Path) -> tuple[int, int, str]:
    with path.open("rb") as stream:
        facts = os.fstat(stream.fileno())
        stream.seek(max(0, facts.st_size - TAIL_BYTES))
        tail = tail_digest(stream.read(TAIL_BYTES))
    return facts.st_size, facts.st_mtime_ns, tail


def content_digest(path: Path) -> str:
    """Return the BLAKE2b-128 hex of the whole file, read in blocks.

    Raises:
        CorruptFile: When the file is not there any more, or cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    with reading(str(path)), path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _shard(number: int, name: str, item: FoundFile) -> Shard:
    """Return a file as a shard.

    Raises:
        InputError: When its name is not UTF-8, or it is gone; one without rights passes.
    """
    path = item.path
    if any(0xD800 <= ord(character) <= 0xDFFF for character in str(path)):
        raise InputError("A file name is not UTF-8.", where=ascii(str(path)), fix="rename the file")
    try:
        size, mtime_ns, tail = identity_of(path) or _identify(path)
    except PermissionError:  # told by whoever reads it: such files can be left out
        facts = path.stat()
        size, mtime_ns, tail = facts.st_size, facts.st_mtime_ns, ""
    except OSError as error:
        raise InputError(
            "A file cannot be opened.", where=str(path), found=error.strerror or ""
        ) from error
    return Shard(number, 0, name, str(path), item.format, size, mtime_ns, tail)


def _placed(shards: list[Shard], roots: Mapping[str, Path]) -> list[Shard]:
    """Return the shards with their splits and the groups of their rows.

    A corpus has splits when its files tell two of them, or one beside files that tell none: these
    are then train.

    Args:
        shards: as found.
        roots: the root of each file, by path.
    """
    named = labels(set(roots.values()))
    below = [Path(shard.path).relative_to(roots[shard.path]) for shard in shards]
    given = [named.get(roots[shard.path], "") for shard in shards]
    splits = [
        split_of([part for part in (label, *path.parts) if part], file_format(path.name) or "code")
        for label, path in zip(given, below, strict=True)
    ]
    several = len(set(splits)) > 1
    splits = [(split or TRAIN) if several else None for split in splits]
    return [
        replace(shard, source_group=source_group(label, path, split), split=split)
        for shard, label, path, split in zip(shards, given, below, splits, strict=True)
    ]


def _expand(root: str, more: Further, *, own: bool = False) -> tuple[list[FoundFile], list[str]]:
    """Return the files that one corpus argument stands for, and what was ignored.

    Raises:
        InputError: When it is nothing, or a file that rote does not read.
    """
    if is_list(root):
        return _of_list(root, more, own=own)
    if is_address(root):
        raise InputError(
            "An address of object storage cannot be named here.",
            where=root,
            expected="files and folders of this machine",
            fix="copy its files here",
        )
    path = placed(root)
    if path.exists():
        if not own:
            _refuse_run_folder(path)
        if path.is_dir():
            return _walk(path, path, more)
        format = file_format(path.name, more)
        if format is None:
            raise InputError(
                "A file has a suffix that rote does not read.",
                where=str(path),
                found=path.suffix or "no suffix",
                expected=known_suffixes(),
                fix="convert or rename the file, or name its suffix: input.suffixes, input.tokens",
            )
        if not path.is_file():
            raise InputError(
                "A pipe, a device or a socket is no file that can be read twice.",
                where=str(path),
                expected="a file or a folder",
                fix="write what it gives into a file",
            )
        return [FoundFile(path.parent, path, format)], []
    if glob.has_magic(root):
        return _matches(root, more)
    raise no_corpus(root)


def _of_list(root: str, more: Further, *, own: bool) -> tuple[list[FoundFile], list[str]]:
    """Return the files that a list stands for, named from its folder where they are below it.

    Raises:
        InputError: When it is none, or a path in it leads to nothing.
    """
    folder, paths = paths_of(root)
    files: list[FoundFile] = []
    ignored: list[str] = []
    for path in paths:
        found, skipped = _expand(path, more, own=own)
        below = folder if all(item.path.is_relative_to(folder) for item in found) else None
        files += [replace(item, root=below or item.root) for item in found]
        ignored += skipped
    return files, ignored


def _once_each(pattern: str) -> str:
    """Return a glob in which no `**` follows another: the same files, found once.

    Raises:
        InputError: When still so many are in it that the ways to match one path are without end.
    """
    parts = Path(pattern).parts
    deep = [n for n, part in enumerate(parts) if part == "**" and parts[n - 1 : n] != ("**",)]
    if len(deep) > MOST_DEEP:
        raise InputError(
            "A glob has too many parts that match any folders.",
            where=pattern[:200],
            found=f"{len(deep)} parts **",
            expected=f"at most {MOST_DEEP}",
            fix="name the folders",
        )
    return str(Path(*(part for n, part in enumerate(parts) if part != "**" or n in deep)))


def _matches(pattern: str, more: Further) -> tuple[list[FoundFile], list[str]]:
    """Return the files that a glob stands for, and what was ignored.

    Raises:
        InputError: When it matches nothing, or would take longer than anyone waits.
    """
    absolute = _once_each(str(placed(pattern)))
    matched = sorted(glob.glob(absolute, recursive=True))  # noqa: PTH207 - skips hidden names
    if not matched:
        raise InputError(
            "A glob matches nothing.", where=absolute, fix="check the pattern; quote it in a shell"
        )
    root = _fixed_part(absolute)
    _refuse_run_folder(root)
    files: list[FoundFile] = []
    ignored: list[str] = []
    for path in map(Path, matched):
        below = path.relative_to(root)
        folders = [root / folder for folder in (below, *below.parents[:-1])]
        if _is_hidden(below.parts, more) or any(map(_is_run_folder, folders)):
            ignored.append(str(path))
        elif path.is_dir():
            inside, skipped = _walk(path, root, more)
            files += inside
            ignored += skipped
        else:
            _take(FoundFile(root, path, file_format(path.name, more) or ""), files, ignored)
    return files, ignored


def _walk(folder: Path, root: Path, more: Further) -> tuple[list[FoundFile], list[str]]:
    """Return the readable files under a folder and the ignored paths; links are followed once."""
    files: list[FoundFile] = []
    ignored: list[str] = []
    visited: set[str] = set()
    for current, folders, names in os.walk(folder, followlinks=True, onerror=_unreadable):
        here = Path(current)
        real = os.path.realpath(current)
        entered = real not in visited
        visited.add(real)
        table = table_files(here) if entered else None
        if table is not None:  # of which the folder holds former versions too
            files += [FoundFile(root, path, file_format(path.name) or "") for path in table]
            folders[:] = []
            continue
        kept = sorted(name for name in folders if entered and _is_entered(here / name, more))
        ignored += [str(here / name) for name in folders if entered and name not in kept]
        folders[:] = kept
        for name in sorted(names) if entered else ():
            if _is_hidden((here / name).relative_to(root).parts, more):
                ignored.append(str(here / name))
            else:
                _take(FoundFile(root, here / name, file_format(name, more) or ""), files, ignored)
    return without_cards(files, ignored)


def _unreadable(error: OSError) -> None:
    """Refuse a folder that cannot be read, when os.walk meets it.

    Raises:
        InputError: Always.
    """
    raise InputError(
        "A folder cannot be read.",
        where=str(error.filename),
        found=error.strerror or "",
        fix="give yourself the right to read it, or name the other folders",
    ) from error


def _take(item: FoundFile, files: list[FoundFile], ignored: list[str]) -> None:
    """Add a file to the found ones if rote reads it, else to the ignored ones."""
    if item.format and item.path.is_file():
        files.append(item)
    else:
        ignored.append(str(item.path))


def is_read(name: str, more: Further = NOTHING) -> bool:
    """Tell whether a file of this name, below a root, is one that rote reads.

    That is a file of rows, an index beside one, or what tells which files are in a table.
    """
    steps = name.split("/")
    if any(step in NOTED for step in steps[:-1]) or name.endswith(".avro"):
        return True
    known = file_format(steps[-1], more) is not None
    return (known or (more.tokens and name.endswith(INDEXES))) and not _is_hidden(steps, more)


def comes_and_goes(name: str, more: Further = NOTHING) -> bool:
    """Tell whether a file is one of rows that is read through `reading` alone.

    What tells about others (an index, a table's or a data set's note, of JSON) has to be there.
    """
    steps = name.split("/")
    noted = any(step in NOTED for step in steps[:-1]) or name.endswith((".json", ".avro", *INDEXES))
    return file_format(steps[-1], more) is not None and not noted


def _is_hidden(steps: Sequence[str], more: Further) -> bool:
    """Tell whether the file at the end of some steps is ignored, by the names on the way.

    A `_` marks what tools leave beside rows (`_SUCCESS`, `_temporary`); in source trees it is part
    of a name (`__init__.py`, `_vendor`).
    """
    if any(step.startswith(".") for step in steps):
        return True
    return any(step.startswith("_") for step in steps) and suffix_of(steps[-1]) not in more.texts


def _is_entered(folder: Path, more: Further) -> bool:
    """Tell whether a folder may hold files that are read."""
    passed = (".",) if more.texts else (".", "_")
    return not folder.name.startswith(passed) and not _is_run_folder(folder)


def _is_run_folder(folder: Path) -> bool:
    """Tell whether rote wrote this folder: its manifest.json is an object with the key `rote`."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and "rote" in manifest


def _refuse_run_folder(path: Path) -> None:
    """Refuse a path in a run folder.

    Raises:
        InputError: When it lies in one.
    """
    for folder in (path, *path.parents):
        if _is_run_folder(folder):
            raise InputError(
                "The corpus lies in a run folder of rote.",
                where=str(path),
                found=f"a run in {folder}",
                expected="a corpus",
                fix="name the corpus; to read a run's output again, copy it elsewhere",
            )


def _nothing_readable(root: str, ignored: Sequence[str]) -> InputError:
    """Return the error for a root that holds nothing readable."""
    path = placed(root)
    if path.is_dir() and not any(path.iterdir()):
        return InputError(
            "The corpus folder is empty.",
            where=str(path),
            expected="files to read",
            fix="check the path",
        )
    return InputError(
        "The corpus holds no file that rote reads.",
        where=str(path),
        found=f"{len(ignored)} other entries",
        expected=known_suffixes(),
        fix="name further suffixes (input.suffixes, input.tokens); names that start with . or _ "
        "are ignored, run folders too",
    )


def _once(found: Iterable[FoundFile]) -> list[FoundFile]:
    """Return each file once, under its outermost root, whatever links or roots led to it."""
    outermost: dict[Path, FoundFile] = {}
    for item in found:
        known = outermost.get(item.path)
        if known is None or len(item.root.parts) < len(known.root.parts):
            outermost[item.path] = item
    real: dict[str, FoundFile] = {}
    for item in sorted(
        outermost.values(), key=lambda item: (_relative(item.path, item.root), str(item.path))
    ):
        real.setdefault(os.path.realpath(item.path), item)
    return list(real.values())


def _names(found: Sequence[FoundFile]) -> dict[str, FoundFile]:
    """Return file by name: relative to its root, or to the roots' common parent if names clash."""
    names = {_relative(item.path, item.root): item for item in found}
    if len(names) == len(found):
        return names
    common = Path(os.path.commonpath([item.root for item in found]))
    return {_relative(item.path, common): item for item in found}


def _relative(path: Path, root: Path) -> str:
    """Return the path relative to its root, with `/`."""
    return path.relative_to(root).as_posix()


def _fixed_part(pattern: str) -> Path:
    """Return the folder that a glob's first wildcard lies in."""
    return Path(*takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))
