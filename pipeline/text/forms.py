"""Texts that differ in form only: normalized for their words, with the way back to their bytes.

Composed or not, full width or not, with soft hyphens, zero-width characters or non-breaking spaces,
a text reads the same and has other words. `text.normalize` makes the words the same; what is
written stays as it is, so each word keeps its place in the text as it came.

A word that lies in part of a character's expansion has the whole character's place, and of two
words in one character the second has none of its bytes. The tables of NFC and NFKC are Python's
own, of its version of Unicode.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import compress, groupby
from operator import itemgetter
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64
from pipeline.text.form_kernels import distinct_pieces, find_places, hash_forms
from pipeline.text.segmentation import text_buffers

Form = Literal["none", "nfc", "nfkc"]
# the default-ignorable code points of Unicode 14.0 (DerivedCoreProperties.txt)
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_DROPPED = re.compile(f"[{_IGNORABLE}]")
_SPACES = re.compile("[\u00a0\u2007\u202f]")
_TO_EDIT = re.compile(f"[{_IGNORABLE}\u00a0\u2007\u202f]")
_TEXT = pa.large_string()
PLACES = 1 << 15  # of a batch, usually
COMMON_BYTES = 64  # longer pieces are not remembered
# outside of these no character of any version of Unicode decomposes or combines
_DECOMPOSABLE = (
    *((0x80, 0x3400), (0xA000, 0xAC00), (0xD7A4, 0xD800), (0xF900, 0x20000)),
    *((0x2F800, 0x2FA20), (0xE0000, 0xE1000)),
)


@dataclass(frozen=True)
class Alignment:
    """Where the parts of a normalized text lie in the text as it came, in bytes.

    Attributes:
        after: where each part begins in the normalized text, and its end.
        before: where each part begins in the text as it came, and its end.
        same: whether a part is the same bytes in both.
    """

    after: Int64  # (parts + 1,)
    before: Int64  # (parts + 1,)
    same: npt.NDArray[np.bool_]  # (parts,)

    def places(self, starts: Uint32, ends: Uint32, done: int) -> tuple[Uint32, Uint32, int]:
        """Return where words lie in the text as it came, and where the last one ends.

        Args:
            starts: first byte of each word in the normalized text, ascending.
            ends: one past its last byte.
            done: where the word before these ends in the text as it came.
        """
        first = np.searchsorted(self.after, starts, "right") - 1
        last = np.searchsorted(self.after, ends - 1, "right") - 1
        low = self.before[first] + np.where(self.same[first], starts - self.after[first], 0)
        high = np.where(
            self.same[last], self.before[last] + ends - self.after[last], self.before[last + 1]
        )
        reached = np.maximum.accumulate(np.concatenate([[done], high]))
        low = np.maximum(low, reached[:-1])
        kind = np.uint32
        return low.astype(kind), np.maximum(high, low).astype(kind), int(reached[-1])


def folded(text: str, form: Form) -> str:
    """Return a text in a normal form, without ignorable characters, with plain spaces."""
    if form == "none" or text.isascii():
        return text
    if _TO_EDIT.search(text):
        text = _SPACES.sub(" ", _DROPPED.sub("", text))
    return unicodedata.normalize("NFC" if form == "nfc" else "NFKC", text)


def version(form: Form) -> str | None:
    """Return the version of Unicode that a form is of; None where it does not matter."""
    return None if form == "none" else unicodedata.unidata_version


def normalized(
    texts: pa.LargeStringArray, form: Form
) -> tuple[pa.LargeStringArray, dict[int, Alignment]]:
    """Return texts for their words, and the alignment of each that has changed, by its row.

    A Python loop per place that may change, and per character of what is not common; other texts
    are not looked at.
    """
    if form == "none":
        return texts, {}
    changed: dict[int, Alignment] = {}
    news: list[bytes] = []
    for row, raw, places in _rows_to_look_at(texts):
        new, alignment = _aligned(raw, places, form)
        if new != raw:
            changed[row] = alignment
            news.append(new)
    if not changed:
        return texts, {}
    mask = np.zeros(len(texts), np.bool_)
    mask[list(changed)] = True
    return pc.replace_with_mask(texts, mask, pa.array(news, pa.large_binary()).cast(_TEXT)), changed


def _rows_to_look_at(
    texts: pa.LargeStringArray,
) -> Iterator[tuple[int, bytes, list[tuple[int, int]]]]:
    """Yield row, bytes and places of each text that a normal form could change."""
    offsets, data = text_buffers(texts)
    for row, own in groupby(_places(offsets, data).tolist(), itemgetter(0)):
        raw = data[offsets[row] : offsets[row + 1]].tobytes()
        yield row, raw, [(start, end) for _, start, end in own]


def _places(offsets: Int64, data: Uint8) -> Int64:
    """Return row, first byte and past the last one of what may change, (places, 3)."""
    wanted = _changeable_characters()
    places = np.empty((PLACES, 3), np.int64)
    count = find_places(data, offsets, wanted, places)
    if count > PLACES:
        places = np.empty((count, 3), np.int64)
        find_places(data, offsets, wanted, places)
    return places[:count]


@cache
def _changeable_characters() -> Uint8:
    """Return a flag for each character that may change, join or be dropped, (code points,).

    That is what NFKC changes, marks, what is second in a composition, and what is dropped.
    """
    flags = np.zeros(sys.maxunicode + 1, np.uint8)
    characters = [chr(code) for part in _DECOMPOSABLE for code in range(*part)]
    for character in compress(characters, map(unicodedata.combining, characters)):
        flags[ord(character)] = 1
    for character in _TO_EDIT.findall("".join(characters)):
        flags[ord(character)] = 1
    for character in compress(characters, map(unicodedata.decomposition, characters)):
        first, *others = unicodedata.decomposition(character).split()
        if not unicodedata.is_normalized("NFKC", character):
            flags[ord(character)] = 1
        if len(others) == 1 and not first.startswith("<"):
            flags[int(others[0], 16)] = 1
    flags[0x1161:0x1176] = flags[0x11A8:0x11C3] = 1  # vowels and finals of Hangul, by rule
    return flags


def _aligned(raw: bytes, places: list[tuple[int, int]], form: Form) -> tuple[bytes, Alignment]:
    """Return a text in a normal form, and where its parts went.

    Args:
        raw: the text.
        places: the bytes of it that could change.
        form: the normal form.
    """
    pieces: list[bytes] = []
    after, before, same = [0], [0], [True]
    new = old = 0
    for start, end in places:
        parts = _parts(raw[start:end], form)
        if all(part == result for part, result in parts):
            continue
        pieces.append(raw[old:start])
        new, old = new + start - old, start
        for part, result in parts:
            if part != result or not same[-1]:
                after.append(new)
                before.append(old)
                same.append(part == result)
            pieces.append(result)
            new, old = new + len(result), old + len(part)
        after.append(new)
        before.append(old)
        same.append(True)
    pieces.append(raw[old:])
    ends = np.array([*after, new + len(raw) - old]), np.array([*before, len(raw)])
    return b"".join(pieces), Alignment(*ends, np.array(same, np.bool_))


def _parts(piece: bytes, form: Form) -> tuple[tuple[bytes, bytes], ...]:
    """Return the smallest parts of a piece that can be normalized apart, each with its result."""
    return _common_parts(piece, form) if len(piece) <= COMMON_BYTES else _all_parts(piece, form)


@lru_cache(1 << 14)
def _common_parts(piece: bytes, form: Form) -> tuple[tuple[bytes, bytes], ...]:
    return _all_parts(piece, form)


def _all_parts(piece: bytes, form: Form) -> tuple[tuple[bytes, bytes], ...]:
    text = piece.decode()
    whole = folded(text, form)
    if whole == text:
        return ((piece, piece),)
    parts = [text[0]]
    for character in text[1:]:
        alone = folded(character, form)
        joins = unicodedata.combining(character) or (
            folded(parts[-1] + character, form) != folded(parts[-1], form) + alone
        )
        if joins:
            parts[-1] += character
        else:
            parts.append(character)
    results = [folded(part, form) for part in parts]
    if "".join(results) != whole:  # a mark behind a dropped character
        return ((piece, whole.encode()),)
    pairs = zip(parts, results, strict=True)
    return tuple((part.encode(), result.encode()) for part, result in pairs)


def realigned(
    alignments: Mapping[int, Alignment],
    rows: Int64,
    bounds: Int64,
    words: tuple[Uint32, Uint32],
    open_row: tuple[int, int],
) -> tuple[Uint32, Uint32, tuple[int, int]]:
    """Return the places of the words of some rows in the texts as they came.

    Args:
        alignments: of the rows that have changed.
        rows: the first row, the row after the last, whether the last is whole.
        bounds: row r owns the words from bounds[r] to bounds[r + 1].
        words: starts and ends in the normalized texts.
        open_row: the row that the words before these ended in, and where the last of them ends.
    """
    starts, ends = (part.copy() for part in words)
    for row in range(int(rows[0]), int(rows[1])):
        if row not in alignments:
            continue
        own = slice(int(bounds[row]), int(bounds[row + 1]))
        done = open_row[1] if open_row[0] == row else 0
        starts[own], ends[own], done = alignments[row].places(words[0][own], words[1][own], done)
        open_row = (row, done)
    return starts, ends, open_row


def form_hashes(texts: pa.LargeStringArray) -> Uint64:
    """Return a 64-bit hash of each text after NFKC folding, (texts,).

    A Python loop per distinct piece that may change.
    """
    offsets, data = text_buffers(texts)
    places = _places(offsets, data)
    numbers = np.empty(len(places), np.int64)
    count = distinct_pieces(data, offsets, places, numbers)
    firsts = np.flatnonzero(np.diff(np.maximum.accumulate(numbers), prepend=-1))
    spans = places[firsts, 1:] + offsets[places[firsts, :1]]
    news = [_other_form(data[start:end].tobytes()) for start, end in spans.tolist()]
    changes = np.fromiter((new is not None for new in news), np.bool_, count)
    numbers = np.where(changes[numbers], numbers, -1)
    pieces = [new or b"" for new in news]
    ends = np.cumsum([0, *map(len, pieces)])
    found = np.empty(len(texts), np.uint64)
    joined = np.frombuffer(b"".join(pieces), np.uint8)
    hash_forms((data, offsets), places, numbers, (joined, ends), found)
    return found


def _other_form(piece: bytes) -> bytes | None:
    """Return a piece after NFKC folding; None where that changes nothing."""
    return _common_form(piece) if len(piece) <= COMMON_BYTES else _form_of(piece)


@lru_cache(1 << 14)
def _common_form(piece: bytes) -> bytes | None:
    return _form_of(piece)


def _form_of(piece: bytes) -> bytes | None:
    new = b"".join(result for _, result in _parts(piece, "nfkc"))
    return None if new == piece else new
