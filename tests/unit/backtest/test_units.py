"""Units: what is left out together, so that no text is on both sides of a fold."""

import numpy as np
import pytest

from pipeline.backtest.units import about_units, parts_of, units_of
from pipeline.score.forecast.logistic import FOLDS, folds


def rows_of(*texts):
    """Return texts of 64 tokens behind one EOS."""
    return np.array([[0, *text] for text in texts], np.int64)


@pytest.fixture
def texts():
    """Return 200 texts without a token run in common, one of a family each."""
    return np.random.default_rng(3).integers(1, 2_000, (200, 64))


def test_families_that_share_a_run_of_32_tokens_are_one_unit(texts):
    """At any place in both, as a passage that no window of the scan linked."""
    texts[7, 5:37] = texts[3, 20:52]
    unit = units_of(np.arange(200), rows_of(*texts))
    assert unit[7] == unit[3] == 3
    assert len(np.unique(unit)) == 199
    texts[7, 5] += 1  # now 31
    assert len(np.unique(units_of(np.arange(200), rows_of(*texts)))) == 200


def test_units_are_joined_along_a_chain(texts):
    """A shares with B and B with C: the three are one, named after the least."""
    texts[20, :32] = texts[10, 32:]
    texts[30, 16:48] = texts[20, 32:]
    unit = units_of(np.arange(200), rows_of(*texts))
    assert unit[[10, 20, 30]].tolist() == [10, 10, 10]


def test_rules_and_blanks_join_nothing(texts):
    """A run of a few distinct tokens is in many texts and tells nothing of them."""
    texts[5, :40] = texts[9, 10:50] = np.arange(40) % 4 + 1
    assert len(np.unique(units_of(np.arange(200), rows_of(*texts)))) == 200


def test_no_shared_text_is_on_both_sides_of_a_fold(texts):
    """Before, 40 families that hold one passage were in all folds; their unit is in one."""
    texts[:40, 10:42] = texts[0, 10:42]
    family = np.arange(200)
    assert len(np.unique(folds(family[:40]))) == FOLDS
    unit = units_of(family, rows_of(*texts))
    assert len(np.unique(folds(unit[family[:40]]))) == 1
    about = about_units(family, unit[family])
    assert about["units"] == 161
    assert about["families_joined_by_shared_text"] == about["largest_unit_sequences"] == 40


def test_rows_of_a_family_are_of_its_unit():
    """A family of several rows is joined whole, by any of them."""
    texts = np.random.default_rng(4).integers(1, 900, (6, 64))
    texts[5, 8:40] = texts[0, 8:40]
    family = np.array([0, 0, 1, 1, 2, 2])
    unit = units_of(family, rows_of(*texts))
    assert unit.tolist() == [0, 1, 0]
    assert units_of(family[:0], rows_of(*texts)[:0]).tolist() == []


def test_units_are_dealt_to_parts_of_like_size():
    """A unit is in one part whole; the largest is dealt first."""
    unit = np.repeat([3, 5, 8, 9], [2, 7, 4, 2])
    part = parts_of(unit)
    assert [np.unique(part[unit == one]).tolist() for one in (3, 5, 8, 9)] == [[1], [0], [1], [1]]
    assert np.bincount(part).tolist() == [7, 8]
    assert len(parts_of(np.zeros(0, np.int64))) == 0
