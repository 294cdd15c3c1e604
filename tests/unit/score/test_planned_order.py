"""A planned order: how much of an epoch comes after the last copy, and how far apart copies are."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.score.forecast.planned_order import planned_order


def counts_of(rows):
    """Return the columns of documents given as (shard, row, text, bytes)."""
    shard, row, text, size = zip(*rows, strict=True)
    return pa.table(
        {
            "row_key": pa.array(range(len(rows)), pa.uint64()),
            "representative": pa.array(text, pa.uint64()),
            "text_bytes": pa.array(size, pa.int64()),
            "shard": list(shard),
            "row": pa.array(row, pa.int64()),
        }
    )


def test_places_are_by_file_row_and_bytes():
    """By hand: files in the order of their names, whatever number they have."""
    rows = [("b", 0, 1, 30), ("a", 0, 1, 10), ("a", 1, 2, 40), ("b", 1, 3, 20)]
    last, apart = planned_order(counts_of(rows))
    # ends: a0 .1, a1 .5, b0 .8, b1 1.0
    assert last == pytest.approx([0.2, 0.2, 0.5, 0.0])
    assert apart[:2] == pytest.approx([0.7, 0.7])
    assert np.isnan(apart[2:]).all()


def test_spacing_is_the_mean_of_all_gaps():
    """Three copies at .2, .4 and 1.0 are .4 apart in the mean; all copies have the same."""
    rows = [("a", place, int(place in (0, 1, 4)), 1) for place in range(5)]
    last, apart = planned_order(counts_of(rows))
    assert apart[[0, 1, 4]] == pytest.approx([0.4] * 3)
    assert last == pytest.approx([0.0, 0.0, 0.2, 0.2, 0.0])
    nothing = planned_order(counts_of(rows).slice(0, 0))
    assert [len(values) for values in nothing] == [0, 0]
