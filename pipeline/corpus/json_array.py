"""The elements of a JSON array, one after another, as if each stood on a line of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pipeline.corpus.room import room, too_long
from pipeline.errors import CorruptFile

_TOKEN = re.compile(rb'["\[\]{},]')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


def elements(blocks: Iterable[bytes], path: str) -> Iterator[bytes]:
    """Yield the bytes of each element of the array that a file is; one is held at a time.

    Brackets and quotes are followed, nothing else is looked at: an element that is no JSON is
    judged by itself, as a line is.

    Args:
        blocks: the bytes of the file.
        path: the file, for errors.

    Raises:
        CorruptFile: When the file ends inside of the array, or goes on after it.
        InputError: When an element is longer than there is room for.
    """
    held, place, begin, depth, given = b"", 0, 0, 0, 0
    for block in blocks:
        held, place, begin = held[begin:] + block, place - begin, 0
        while token := _TOKEN.search(held, place):
            place, sign = token.end(), token.group()
            if sign == b'"':
                string = _STRING.match(held, token.start())
                place = token.start() if string is None else string.end()
                if string is None:
                    break
            elif depth == 0 and (given or sign != b"["):
                raise _not_whole(path, "something after the end of the array")
            else:
                if depth == 1 and sign in (b",", b"]"):
                    if element := held[begin : token.start()].strip():
                        yield element
                        given += 1
                    begin = place
                begin = begin if depth else place
                depth += _STEPS.get(sign, 0)
        else:
            place = len(held)
        if len(held) - begin > room():
            raise too_long(path, given, len(held) - begin)
    if depth or held[begin:].strip():
        raise _not_whole(path, f"its end after {given:,} elements" if depth else "more after it")


def _not_whole(path: str, found: str) -> CorruptFile:
    """Return the error for an array that does not end where its file does."""
    return CorruptFile(
        "A JSON array does not end where its file does.",
        where=path,
        found=found,
        expected="one array",
        fix="repair or remove the file, or leave it out: --skip-bad-files",
    )
