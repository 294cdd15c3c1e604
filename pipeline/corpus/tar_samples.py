"""Tar files of documents, as webdataset writes them: members of one key are one row.

A key is the path up to the first dot of the name. Columns are `__key__`, the fields of a .json
member, the text of .txt (as `text`, if the .json has none) and of other text members by their
suffix, and `__members__`, the names of those that are no text: they are not read. Nothing is ever
extracted.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.corpus.files import open_stream, reading
from pipeline.corpus.room import room, too_long
from pipeline.errors import CorruptFile

KEY, MEMBERS, TEXT = "__key__", "__members__", "text"
TEXTS = frozenset({"txt", "text", "md", "log", "cls", "html", "caption", "transcript"})


class _Counted:
    """A stream that knows how much of it was read.

    Attributes:
        size: bytes so far.
    """

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream, self.size = stream, 0

    def read(self, most: int) -> bytes:
        """Return the next bytes."""
        data: bytes = self._stream.read(most)
        self.size += len(data)
        return data


@dataclass
class _Sample:
    """The members of one key.

    Attributes:
        key: path and name without suffixes.
        fields: those of the .json member.
        texts: of other members, by suffix.
        others: names of members that are no text.
        bad: the bytes of a member that is not what its suffix says.
        size: bytes read.
    """

    key: str
    fields: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, Any] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    bad: bytes | None = None
    size: int = 0

    def add(self, suffix: str, name: str, data: bytes | None) -> None:
        """Take a member in; no data for one that is no text."""
        if data is None:
            self.others.append(name)
            return
        self.size += len(data)
        try:
            text = data.decode()
            value = json.loads(text) if suffix == "json" else text
        except (ValueError, RecursionError):
            self.bad = data
            return
        if isinstance(value, dict):
            self.fields = value
        else:
            self.texts[suffix] = value

    def line(self) -> bytes:
        """Return the row as JSON, or the bytes that are no JSON or no UTF-8."""
        if self.bad is not None:
            return self.bad
        row = {KEY: self.key, **{name: self.fields[name] for name in self.fields if name != KEY}}
        for suffix, text in self.texts.items():
            name = TEXT if suffix == "txt" else suffix
            row[f".{suffix}" if name in row else name] = text
        if self.others:
            row[MEMBERS] = self.others
        return json.dumps(row, ensure_ascii=True).encode()


def tar_lines(path: str) -> Iterator[bytes]:
    """Yield the row of each key, as a line of JSON.

    Raises:
        CorruptFile: When the file is no tar, or ends before it is whole.
        InputError: When a sample is longer than there is room for.
    """
    sample: _Sample | None = None
    given = 0
    for name, size, data in _members(path):
        folder, _, base = name.rpartition("/")
        stem, _, suffix = base.partition(".")
        key = f"{folder}/{stem}" if folder else stem
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample.line()
                given += 1
            sample = _Sample(key)
        if sample.size + size > room() and data is not None:
            raise too_long(path, given, sample.size + size)
        sample.add(suffix.lower(), name, data)
    if sample is not None:
        yield sample.line()


def _members(path: str) -> Iterator[tuple[str, int, bytes | None]]:
    """Yield name, size and bytes of each member that is a file; no bytes where it is no text."""
    with reading(path), open_stream(path) as stream:
        counted = _Counted(stream)
        try:
            with tarfile.open(fileobj=counted, mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    archive.members = []  # else it remembers them all
                    base = member.name.rpartition("/")[2]
                    if not member.isfile() or base.startswith("."):
                        continue
                    yield member.name, member.size, _text_of(archive, member, path)
                if counted.size < archive.offset + tarfile.BLOCKSIZE:
                    raise _not_whole(path, "no end of the archive")
        except (tarfile.TarError, ValueError) as error:
            raise _not_whole(path, type(error).__name__) from error


def _text_of(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> bytes | None:
    """Return the bytes of a text or JSON member.

    Raises:
        CorruptFile: When the file ends within it.
    """
    suffix = member.name.rpartition("/")[2].partition(".")[2].lower()
    if suffix != "json" and suffix.rpartition(".")[2] not in TEXTS:
        return None
    if member.size > room():
        return b""  # refused by its size
    stream = archive.extractfile(member)
    data = b"" if stream is None else stream.read()
    if len(data) != member.size:
        raise _not_whole(path, f"its end within a member of {member.size:,} bytes")
    return data


def _not_whole(path: str, found: str) -> CorruptFile:
    """Return the error for a file that is no tar, or not all of one."""
    return CorruptFile(
        "A file is no whole tar.",
        where=path,
        found=found,
        fix="repair or remove the file, or leave it out: --skip-bad-files",
    )
