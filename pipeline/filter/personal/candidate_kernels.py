"""Compiled scan of texts for what may be personal data: the only loop over every byte.

Candidates are cheap and many; what is one is decided on their few bytes alone (`finds.py`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.arrays import Int64, Uint8

AT, NUMBER, MIXED, COLONS = 0, 1, 2, 3
DIGIT, UPPER, LOWER, BETWEEN, HEX = 1, 2, 4, 8, 16
LEAST_DIGITS = 7  # of a number: shorter ones are years, prices and parts of an address
LEAST_DOTTED = 6  # digits of an IPv4 address that is told from a version number
LONGEST_SPACED = 42  # bytes of an IBAN in groups of four
MOST_HEX = 4  # digits of a group of an IPv6 address


def classes() -> Uint8:
    """Return what each byte can be part of, as flags, (256,)."""
    table = np.zeros(256, np.uint8)
    for first, last, flags in (
        (b"0", b"9", DIGIT | HEX),
        (b"A", b"Z", UPPER),
        (b"a", b"z", LOWER),
        (b"A", b"F", UPPER | HEX),
        (b"a", b"f", LOWER | HEX),
    ):
        table[first[0] : last[0] + 1] |= flags
    for byte in b" .-()/":
        table[byte] |= BETWEEN
    return table


@njit(nogil=True, cache=True)
def candidates(data: Uint8, offsets: Int64, table: Uint8) -> Int64:
    """Return what may be personal data, in order, (candidates, 4): text, first byte, end, kind.

    Args:
        data: the bytes of all texts.
        offsets: where each text begins and the last ends, (texts + 1,).
        table: as `classes` returns it.
    """
    out = np.empty((1024, 4), np.int64)
    n = 0
    for text in range(offsets.size - 1):
        place, end = offsets[text], offsets[text + 1]
        while place < end:
            byte = data[place]
            kind, first, last, after = -1, place, place + 1, place + 1
            if byte == 64:
                kind = AT if place > offsets[text] and data[place - 1] > 32 else -1
            elif table[byte] & (DIGIT | UPPER | LOWER) or byte == 43 or byte == 40:
                kind, last, after = _word(data, place, end, table)
            elif byte == 58:
                kind, first, last = _colons(data, offsets[text], place, end, table)
                after = last
            if kind >= 0:
                if n == out.shape[0]:
                    out = np.concatenate((out, np.empty_like(out)))
                out[n, 0], out[n, 1], out[n, 2], out[n, 3] = text, first, last, kind
                n += 1
            place = after
    return out[:n].copy()


@njit(nogil=True, cache=True)
def _word(data: Uint8, first: int, end: int, table: Uint8) -> tuple[int, int, int]:
    """Return the kind of what begins at a word, -1 for none, its end, and where to go on."""
    if not table[data[first]] & (UPPER | LOWER):
        return _number(data, first, end, table)
    place, digits, small = first, 0, False
    while place < end and table[data[place]] & (DIGIT | UPPER | LOWER):
        digits += int(table[data[place]] & DIGIT)
        small |= (table[data[place]] & LOWER) != 0
        place += 1
    if small or digits == 0:
        return -1, place, place
    if place == first + 4 and digits == 2 and not table[data[first + 1]] & DIGIT:
        last = _spaced(data, first, end, table)
        if last > place:
            return MIXED, last, last
    if digits >= LEAST_DIGITS:
        return MIXED, place, place
    return -1, place, place


@njit(nogil=True, cache=True)
def _spaced(data: Uint8, first: int, end: int, table: Uint8) -> int:
    """Return the end of groups of capitals and digits with a space between them, as an IBAN has."""
    place = first
    while place < min(end, first + LONGEST_SPACED):
        gap = data[place] == 32 and place + 1 < end
        if not table[data[place + np.int64(gap)]] & (DIGIT | UPPER):
            break
        place += 1
    return place


@njit(nogil=True, cache=True)
def _number(data: Uint8, first: int, end: int, table: Uint8) -> tuple[int, int, int]:
    """Return the kind of a run of digits with signs between them, its end, and where to go on.

    Two signs follow each other only where one is a parenthesis; a plus begins another number.
    """
    place, last, digits, dots, gap = first, first, 0, 0, 0
    if data[first] == 43:
        place += 1
    while place < end:
        byte = data[place]
        if table[byte] & DIGIT:
            digits += 1
            last, gap = place + 1, 0
        elif table[byte] & BETWEEN:
            bracket = byte == 40 or byte == 41
            before = data[place - 1]
            if gap > 2 or (gap and not bracket and before != 40 and before != 41):
                break
            dots += int(byte == 46)
            gap += 1
        else:
            break
        place += 1
    after = max(last, first + 1)
    while after < end and last > first and table[data[after]] & (UPPER | LOWER | DIGIT):
        after += 1  # a word that begins with digits is no number of its own
    if digits >= LEAST_DIGITS or (digits >= LEAST_DOTTED and dots >= 3):
        return NUMBER, last, after
    return -1, last, after


@njit(nogil=True, cache=True)
def _colons(data: Uint8, begin: int, colon: int, end: int, table: Uint8) -> tuple[int, int, int]:
    """Return COLONS, first byte and end of groups of hexadecimal digits, or -1 for too few."""
    first = colon
    while first > begin and colon - first < MOST_HEX and table[data[first - 1]] & HEX:
        first -= 1
    place, colons = colon, 0
    while place < end and (table[data[place]] & HEX or data[place] == 58):
        colons += int(data[place] == 58)
        place += 1
    if colons >= 3 and place - first >= 10:
        return COLONS, first, place
    return -1, first, place
