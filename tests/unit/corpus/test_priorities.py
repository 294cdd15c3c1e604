import random
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pyarrow as pa
import pytest

from pipeline.corpus.priorities import of_column, pairs, split, written

LARGE = [1_700_000_000_000_000_001, 1_700_000_000_000_000_003, 2**63 - 1, 2**53 + 1, -(2**63)]


def ordered(values):
    """Return whether the pairs of ascending values ascend strictly."""
    found = [split(value) for value in values]
    return all(left < right for left, right in pairwise(found))


@pytest.mark.parametrize(
    "values",
    [
        sorted(LARGE),
        [2**64 - 3, 2**64 - 2, 2**64 - 1],
        [Decimal("0.1"), Decimal("0.10000000000000000000000000001"), Decimal("0.2")],
        [Decimal(f"12345678901234567890.{n:010}") for n in (0, 1, 7, 8, 9_999_999_999)],
        [Decimal(f"-0.{n:031}") for n in (9, 8, 1, 0)],
        [float("-inf"), -(10**30), 0, 1e-300, Decimal("1e300"), float("inf")],
    ],
)
def test_values_of_one_double_are_told_apart(values):
    """The order of the pairs is that of the values, of all types together."""
    assert ordered(values)


def test_random_values_are_ordered_as_fractions_are():
    """Whole numbers of 64 bits and decimals of 31 digits, with their closest neighbours."""
    draw = random.Random(3)  # noqa: S311 - chosen numbers
    values: set[int | Decimal] = set()
    for _ in range(500):
        whole = draw.randrange(-(2**63), 2**64)
        scaled = Decimal(draw.randrange(10**31)).scaleb(-draw.randrange(31))
        values |= {whole, whole + 1, scaled, scaled.next_plus() if scaled < 1 else scaled + 1}
    distinct = {Fraction(value): value for value in values}
    assert ordered([distinct[exact] for exact in sorted(distinct)])


def test_equal_values_of_other_types_are_equal():
    """A decimal, a whole number and a double of one value rank the same."""
    assert split(Decimal("0.10")) == split(0.1) == (0.1, 0.0)
    assert split(Decimal("5.00")) == split(5) == split(5.0) == (5.0, 0.0)
    assert split(2**60) == split(Decimal(2**60)) == split(float(2**60))


def test_columns_are_split_as_single_values_are():
    """Any numeric type; NaN and nulls are null, and their rest is none."""
    for values, kind in (
        ([*LARGE, None, 5], pa.int64()),
        ([2**64 - 1, None, 0], pa.uint64()),
        ([Decimal("1.25"), None], pa.decimal128(38, 2)),
        ([Decimal("1.25"), None], pa.decimal256(60, 2)),
        ([1.5, None, 2.0**70], pa.float64()),
        ([1, None], pa.int8()),
        ([None], pa.null()),
    ):
        found = of_column(pa.array(values, kind))
        assert [part.to_pylist() for part in found] == [p.to_pylist() for p in pairs(values)]
    assert of_column(pa.array([float("nan")]))[0].to_pylist() == [None]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        (" 7 ", 7.0),
        ("1700000000000000001", Decimal(1700000000000000001)),
        ("0.1234567890123456789", Decimal("0.1234567890123456789")),
        ("nan", None),
        ("", None),
        ("x", None),
        ("-inf", float("-inf")),
        ("1e-400000000000000000", 0.0),
    ],
)
def test_what_is_written_in_a_field_is_kept(text, value):
    """More digits than a double has stay; a monstrous exponent is the nearest double."""
    assert written(text) == value
