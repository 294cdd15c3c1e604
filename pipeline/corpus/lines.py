"""The lines and the paragraphs of a file, plain or packed, one held at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pipeline.corpus.files import open_stream, reading
from pipeline.corpus.room import room, too_long

BLOCK_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def blocks(stream: pa.NativeFile) -> Iterator[bytes]:
    """Yield the bytes of a file, without a byte order mark."""
    block = stream.read(BLOCK_BYTES).removeprefix(BYTE_ORDER_MARK)
    while block:
        yield block
        block = stream.read(BLOCK_BYTES)


def split_lines(path: str, *, blank: bool = False) -> Iterator[bytes]:
    """Yield the lines of a file, without their ends; a line may be longer than a block.

    Args:
        path: the file.
        blank: whether to yield blank lines too, as empty ones.

    Raises:
        InputError: When a line is longer than there is room for.
    """
    held: list[bytes] = []
    size = given = 0
    with reading(path), open_stream(path) as stream:
        for block in blocks(stream):
            first, *others = block.split(b"\n")
            size += len(first)
            if size <= room():
                held.append(first)
            else:
                held.clear()  # counted to its end, so that the message can tell
            for part in others:
                if size > room():
                    raise too_long(path, given, size)
                for line in _unless_blank(held):
                    yield line
                    given += 1
                if blank and not _unless_blank(held):
                    yield b""
                held, size = [part], len(part)
        if size > room():
            raise too_long(path, given, size)
        yield from _unless_blank(held)


def _unless_blank(parts: list[bytes]) -> tuple[bytes, ...]:
    """Return the line that the parts make, nothing when it is blank."""
    line = b"".join(parts).removesuffix(b"\r")
    return (line,) if line and not line.isspace() else ()


def paragraphs(path: str) -> Iterator[bytes]:
    """Yield the runs of lines between blank ones, joined by line feeds.

    Raises:
        InputError: When one is longer than there is room for.
    """
    held: list[bytes] = []
    size = given = 0
    for line in split_lines(path, blank=True):
        if line:
            held.append(line)
            size += len(line) + 1
            if size > room():
                raise too_long(path, given, size)
        elif held:
            yield b"\n".join(held)
            given += 1
            held, size = [], 0
    if held:
        yield b"\n".join(held)
