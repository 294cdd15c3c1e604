"""Find personal data in texts: a compiled scan for candidates, then a close look at each alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.personal import PersonalConfig
from pipeline.filter.personal import candidate_kernels as kernels
from pipeline.filter.personal.numbers import Numbers
from pipeline.text import segmentation
from pipeline.text.keys import ACCESS_KEY, BEGINNINGS, PRIVATE_KEY, TOKEN

BEFORE, AFTER = 72, 72  # bytes around a candidate that are looked at
_LETTER = r"[\x80-\xbf][\xc3-\xdf]"  # backwards, in UTF-8: of scripts that put spaces between words
_LOCAL = re.compile(rf"(?:[\w.+%'-]|{_LETTER}){{0,63}}(?:[A-Za-z0-9]|{_LETTER})", re.ASCII)
_DOMAIN = re.compile(r"@((?:[A-Za-z0-9-]{1,63}\.){1,8}([A-Za-z]{2,24}))(?![\w-])", re.ASCII)
_FILES = frozenset(("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "py", "html"))
_RESERVED = re.compile(
    r"(?i)(?:^|\.)(?:example(?:\.(?:com|org|net))?|test|invalid|localhost|local)$"
)
_KEYS = (PRIVATE_KEY, ACCESS_KEY, TOKEN)
Candidate = tuple[int, int, int, str]  # first byte, rank (0 is surest), end, kind


@dataclass(frozen=True)
class Find:
    """Where one piece of personal data is.

    Attributes:
        start: its first byte in the text.
        end: past its last byte.
        kind: what it is.
        value: hash of the value without signs and case: equal ones are the same value.
    """

    start: int
    end: int
    kind: str
    value: int


class Finder:
    """A finder of personal data in batches of texts; the same finds for any batches.

    Python looks at candidates alone: some 290 a megabyte on the dev corpus, 40 us each.
    """

    def __init__(self, config: PersonalConfig, seed: int) -> None:
        self._kinds = frozenset(config.kinds)
        self._numbers = Numbers(config.kinds, config.regions)
        self._classes = kernels.classes()
        self._key = seed.to_bytes(8, "big")

    def finds(self, texts: pa.LargeStringArray) -> Iterator[tuple[int, Find]]:
        """Yield (row, find) in order, none over another."""
        offsets, data = segmentation.text_buffers(texts)
        found: dict[int, list[Candidate]] = {}
        for row in _rows_with_keys(texts) if "key" in self._kinds else ():
            text = data[offsets[row] : offsets[row + 1]].tobytes()
            found[row] = [(a, 0, b, "key") for a, b in keys_in(text)]
        wanted = kernels.candidates(data, offsets, self._classes)
        for row, first, end, kind in wanted.tolist():
            begin, stop = int(offsets[row]), int(offsets[row + 1])
            low, high = max(begin, first - BEFORE), min(stop, end + AFTER)
            around = data[low:high].tobytes().decode("latin-1")  # one character a byte
            shift = low - begin
            for rank, (a, b, name) in enumerate(self._in(kind, around, first - low, end - low)):
                found.setdefault(row, []).append((a + shift, rank + 1, b + shift, name))
        for row in sorted(found):
            whole = data[offsets[row] : offsets[row + 1]]
            for start, _, end, name in apart(found[row]):
                yield row, Find(start, end, name, self._value(name, whole[start:end].tobytes()))

    def _in(self, kind: int, around: str, first: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Yield (first, end, kind) of what a candidate is."""
        if kind == kernels.AT:
            if "email" in self._kinds:
                yield from ((a, b, "email") for a, b in mails_at(around, first))
        elif kind == kernels.NUMBER:
            yield from self._numbers.in_number(around, first, end)
        elif kind == kernels.MIXED:
            yield from self._numbers.in_word(around, first, end)
        else:
            yield from self._numbers.in_colons(around, first, end)

    def _value(self, kind: str, value: bytes) -> int:
        """Return a hash of a value, keyed by the seed; case and signs aside, but in keys."""
        plain = value if kind == "key" else value.lower()
        if kind not in ("email", "key"):
            plain = re.sub(rb"[^0-9a-z:]", b"", plain)
        whole = kind.encode() + b"\0" + plain
        return int.from_bytes(hashlib.blake2b(whole, digest_size=8, key=self._key).digest(), "big")


def apart(found: list[Candidate]) -> list[Candidate]:
    """Return the finds of a text in order, of those that lie over one another the surest."""
    kept: list[Candidate] = []
    for one in sorted(found):
        if not kept or one[0] >= kept[-1][2]:
            kept.append(one)
        elif one[1] < kept[-1][1]:
            kept[-1] = one
    return kept


def _rows_with_keys(texts: pa.LargeStringArray) -> Sequence[int]:
    """Return the rows in which a key or token may begin."""
    flags = pc.match_substring_regex(texts, BEGINNINGS)
    return np.flatnonzero(flags.to_numpy(zero_copy_only=False)).tolist()


def keys_in(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield first byte and end of each key or token in a text."""
    whole = text.decode("latin-1")
    taken: list[tuple[int, int]] = []
    for form in _KEYS:
        for match in form.finditer(whole):
            free = all(match.end() <= low or high <= match.start() for low, high in taken)
            if free and _is_secret(match[0]):
                taken.append(match.span())
    yield from sorted(taken)


def _is_secret(text: str) -> bool:
    """Tell whether a key is one by its letters and digits, and not that of a manual."""
    digits, letters = any(map(str.isdigit, text)), any(map(str.isalpha, text))
    return digits and letters and not text.endswith("EXAMPLE")


def mails_at(around: str, at: int) -> Iterator[tuple[int, int]]:
    """Yield first and end of the e-mail address whose sign is at a place; reserved domains aside.

    Source: RFC 2606 for the domains that are nobody's.
    """
    local = _LOCAL.match(around[max(0, at - BEFORE) : at][::-1])
    domain = _DOMAIN.match(around, at)
    if local is None or domain is None or domain[2].lower() in _FILES:
        return
    if not _RESERVED.search(domain[1]):
        yield at - local.end(), domain.end()
