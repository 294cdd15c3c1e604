"""Priorities as pairs of doubles, so that whole numbers of 64 bits and decimals compare exactly.

A priority is the nearest double and what is missing to the value. Two values of the same nearest
double are told apart by the rest: 106 bits, more than 31 digits. A double that is no whole number
stands for its shortest decimal, so that 0.1 is the same as a decimal and as a double.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import pyarrow as pa

EXACT = 1 << 53  # whole numbers up to here are doubles
MOST_MAGNITUDE = 400  # powers of ten, more than a double has
PLAIN_DIGITS = 15  # as many always come back from a double
Number: TypeAlias = int | float | Decimal
Pair: TypeAlias = tuple[pa.DoubleArray, pa.DoubleArray]


def split(value: Number | None) -> tuple[float | None, float]:
    """Return a priority as the nearest double and the rest; no number is null.

    NaN and what is beyond a double are no numbers.
    """
    if value is None or value != value:
        return None, 0.0
    try:
        high = float(value)
    except OverflowError:
        return None, 0.0
    if isinstance(value, float) or math.isinf(high):
        return high, 0.0
    return high, float(Fraction(value) - _meant(high))


def _meant(high: float) -> Fraction:
    """Return what a double stands for: a whole number, or its shortest decimal."""
    return Fraction(int(high)) if high.is_integer() else Fraction(repr(high))


def written(text: str) -> Number | None:
    """Return the number that is written in a text; None when there is none, or NaN."""
    try:
        value = float(text)
    except ValueError:
        return None
    if value != value:
        return None
    if len(text.strip()) <= PLAIN_DIGITS or math.isinf(value) or "_" in text:
        return value
    exact = Decimal(text.strip())
    return exact if abs(exact.adjusted()) < MOST_MAGNITUDE else value


def no_priorities(count: int) -> Pair:
    """Return the two columns of rows without a priority."""
    return pa.nulls(count, pa.float64()), pa.array(np.zeros(count))


def pairs(values: Iterable[Number | None]) -> Pair:
    """Return priorities of any kind as two columns."""
    found = [split(value) for value in values]
    return (
        pa.array([high for high, _ in found], pa.float64()),
        pa.array([rest for _, rest in found], pa.float64()),
    )


def of_column(column: pa.Array) -> Pair:
    """Return a numeric column as two columns; only values that need it are taken one by one."""
    kind = column.type
    if pa.types.is_decimal(kind):
        return pairs(column.to_pylist())
    high = column.cast(pa.float64(), safe=False)
    numbers = high.to_numpy(zero_copy_only=False)
    rest = np.zeros(len(column))
    if pa.types.is_integer(kind) and kind.bit_width == 64:
        for place in np.flatnonzero(np.abs(numbers) >= EXACT).tolist():
            rest[place] = split(column[place].as_py())[1]
    return pa.array(numbers, mask=np.isnan(numbers)), pa.array(rest)
