"""The compiled loop behind `pipeline.text.symbols`."""

from __future__ import annotations

from pipeline.text.arrays import Flags, Int64, Uint8, Value
from pipeline.text.segmentation_kernels import decode, kernel

NOTHING, SYMBOL, OPERATOR = 0, 1, 2
_SPACE, _TAB = ord(" "), ord("\t")
_ZERO, _NINE = ord("0"), ord("9")
_A, _Z, _LOWER = ord("a"), ord("z"), 0x20
_EQUALS, _PERCENT, _MINUS, _NOT = ord("="), ord("%"), ord("-"), ord("!")
_OPEN, _CLOSE = ord("("), ord(")")


@kernel
def take_symbols(
    data: Uint8, offsets: Int64, asked: Flags, classes: Uint8, found: Uint8, ends: Int64
) -> None:
    """Write the symbols of each text one after another.

    Args:
        data: (bytes,), of the texts, valid UTF-8.
        offsets: (texts + 1,), into the bytes.
        asked: (texts,), which are looked at.
        classes: (code points,), what each character is; all operators are ASCII.
        found: (bytes,), filled.
        ends: (texts + 1,), filled: text i has the bytes found[ends[i]:ends[i + 1]].
    """
    n = 0
    for row in range(offsets.size - 1):
        begin, end = offsets[row], offsets[row + 1]
        i = begin if asked[row] else end
        while i < end:
            width = 1
            kind = classes[data[i]] if data[i] < 0x80 else NOTHING
            if data[i] >= 0x80:
                character, width = decode(data, i)
                kind = classes[character]
            if kind == SYMBOL or (kind == OPERATOR and _is_operator(data, i, begin, end)):
                for k in range(width):
                    found[n] = data[i + k]
                    n += 1
            i += width
        ends[row + 1] = n


@kernel
def _is_operator(data: Uint8, i: Value, begin: Value, end: Value) -> bool:
    """Tell whether the sign at a place is an operator, by what stands on both sides of it."""
    sign = data[i]
    after = i + 1 < end
    if sign == _NOT:
        return bool(after and data[i + 1] == _EQUALS)
    if sign == _PERCENT and i > begin and _is_digit(data[i - 1]):
        return True
    joins = i > begin and (_is_letter(data[i - 1]) or data[i - 1] >= 0x80)
    if sign == _MINUS and after and _is_digit(data[i + 1]) and not joins:
        return True
    left = i - 1
    while left >= begin and (data[left] in (_SPACE, _TAB) or data[left] == sign):
        left -= 1
    right = i + 1
    while right < end and (data[right] in (_SPACE, _TAB) or data[right] == sign):
        right += 1
    if left < begin or right >= end:
        return False
    before = data[left] == _CLOSE or _is_operand(data, left, begin, end)
    return bool(before and (data[right] == _OPEN or _is_operand(data, right, begin, end)))


@kernel
def _is_operand(data: Uint8, i: Value, begin: Value, end: Value) -> bool:
    """Tell whether a place is in a number, or is a letter that stands alone."""
    if _is_digit(data[i]):
        return True
    if not _is_letter(data[i]):
        return False
    alone = i == begin or not (_is_letter(data[i - 1]) or data[i - 1] >= 0x80)
    return bool(alone and (i + 1 == end or not (_is_letter(data[i + 1]) or data[i + 1] >= 0x80)))


@kernel
def _is_digit(byte: Value) -> bool:
    return bool(_ZERO <= byte <= _NINE)


@kernel
def _is_letter(byte: Value) -> bool:
    return bool(_A <= (byte | _LOWER) <= _Z)
