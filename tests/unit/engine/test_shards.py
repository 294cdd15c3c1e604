"""Keys of rows: shard number << 40 | row, made and taken apart in one place."""

import numpy as np

from pipeline.engine.shards import key_range, row_keys, row_of, shard_of

LAST = (1 << 40) - 1


def test_a_key_is_taken_apart_into_shard_and_row():
    """One key, as a plain number."""
    assert (shard_of(0), row_of(0)) == (0, 0)
    assert (shard_of((7 << 40) + 12), row_of((7 << 40) + 12)) == (7, 12)
    assert (shard_of(LAST), row_of(LAST)) == (0, LAST)


def test_many_keys_are_made_and_taken_apart_at_once():
    """Arrays stay uint64, up to the last row of a shard and to the largest shard number."""
    rows = np.array([0, 3, LAST])
    for shard in (0, 5, (1 << 24) - 1):
        keys = row_keys(shard, rows)
        assert keys.dtype == shard_of(keys).dtype == row_of(keys).dtype == np.uint64
        assert keys.tolist() == [(shard << 40) + row for row in rows.tolist()]
        assert shard_of(keys).tolist() == [shard] * 3
        assert row_of(keys).tolist() == rows.tolist()
        assert key_range(shard) == (keys[0], keys[-1])
