"""Memorized against not at the same dose: nothing of a difference is of the dose."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.score.probes.same_dose import COMPARED, contrasts


def table_of(family, **columns):
    """Return the compared columns, all 0 but those given, and the family."""
    nothing = np.zeros(len(family))
    values = {name: np.asarray(columns.get(name, nothing), float) for name in COMPARED}
    return pa.table({**values, "family": pa.array([f"f{number}" for number in family])})


def test_a_difference_is_within_a_level_of_dose():
    """What grows with the dose alone has none; 2 bits more where memorized are found as 2."""
    draw = np.random.default_rng(1)
    dose = np.repeat([4, 64], 200)
    memorized = draw.random(400) < np.where(dose == 4, 0.1, 0.9)
    table = table_of(
        np.arange(400),
        document_sequences=dose,
        token_bits=10 + 2 * memorized,
        zlib_bits_per_byte=dose,
    )
    rows = {row["column"]: row for row in contrasts(table, dose, memorized, 1)}
    bits, length = rows["token_bits"], rows["document_sequences"]
    assert (bits["mean_memorized"], bits["mean_others"]) == pytest.approx((12.0, 10.0))
    assert bits["difference_95"] == pytest.approx([2.0, 2.0])
    assert length["mean_memorized"] == pytest.approx(length["mean_others"])
    assert length["difference_95"] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert (bits["memorized"], bits["others"]) == (memorized.sum(), (~memorized).sum())


def test_levels_are_joined_by_their_precision():
    """By hand: differences 1 and 5 with weights 2 * 2 / 4 and 6 * 6 / 12: (1 + 15) / 4."""
    dose = np.array([1] * 4 + [2] * 12)
    memorized = np.array([True, False] * 8)
    value = np.where(memorized, np.where(dose == 1, 1.0, 5.0), 0.0)
    row = contrasts(table_of(np.arange(16), token_bits=value), dose, memorized, 1)[1]
    assert row["column"] == "token_bits"
    assert row["mean_memorized"] - row["mean_others"] == pytest.approx(4.0)


def test_intervals_are_of_families():
    """Rows of one family say no more than one: 10 families of 30 rows have a wider interval."""
    draw = np.random.default_rng(2)
    family = np.repeat(np.arange(20), 30)
    value = np.repeat(draw.normal(size=20), 30)
    memorized = family < 10
    dose = np.ones(600, np.int64)
    widths = []
    for unit in (family, np.arange(600)):
        row = contrasts(table_of(unit, token_bits=value), dose, memorized, 1)[1]
        low, high = row["difference_95"]
        widths.append(high - low)
    assert widths[0] > 3 * widths[1]


def test_a_level_with_one_side_alone_says_nothing():
    """Doses at which all or none are memorized are left out; so is everything with few families."""
    dose = np.array([1] * 12 + [8] * 12)
    memorized = np.array([True, False] * 6 + [True] * 12)
    rows = contrasts(table_of(np.arange(24)), dose, memorized, 1)
    assert (rows[0]["memorized"], rows[0]["others"], rows[0]["families"]) == (6, 6, 6)
    assert contrasts(table_of(np.arange(24) // 6), dose, memorized, 1) == []
    assert contrasts(table_of(np.arange(24)), dose, np.ones(24, np.bool_), 1) == []
