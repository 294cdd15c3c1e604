from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.engine.group_digests import group_digests, group_key


@dataclass(frozen=True)
class Numbered:
    """A shard, as far as digests look at it."""

    number: int
    group: int


SHARDS: Any = [Numbered(0, 0), Numbered(2, 0), Numbered(3, 1), Numbered(9, 2)]
ROWS = pa.table(
    {
        "row_key": np.array([0, 1, 2 << 40, 3 << 40, (3 << 40) + 5, 7 << 40], np.uint64),
        "name": ["x", None, "yy", "", "z", "of no group"],
        "share": [1.5, None, 2, 3, 4, 5],
        "flag": [True, None, False, True, True, True],
        "hash": pa.array([b"0123456789abcdef"] * 6, pa.binary(16)),
    }
)


def changed(column, place, value):
    """Return the rows with one value changed."""
    values = ROWS[column].to_pylist()
    values[place] = value
    at = ROWS.schema.get_field_index(column)
    return ROWS.set_column(at, column, pa.array(values, ROWS.schema.field(column).type))


def test_keys_order_as_groups_do_beyond_five_digits():
    """Files of tables are read in the order of the keys, and their rows must ascend.

    A folder that many scans have added to has more than 99,999 groups.
    """
    groups = [0, 1, 99_999, 100_000, 100_001, 999_999, 12_345_678]
    assert sorted(groups, key=group_key) == groups
    assert group_key(99_999) == "g99999"


def test_batches_do_not_matter():
    """Rows in any parts, with any buffers behind them, have the same digests."""
    whole = group_digests(SHARDS, [ROWS])
    assert sorted(whole) == ["g00000", "g00001", "g00002"]
    assert len(set(whole.values())) == 3
    assert group_digests(SHARDS, ROWS.to_batches(max_chunksize=1)) == whole
    assert group_digests(SHARDS, [ROWS.slice(0, 4), ROWS.slice(4)]) == whole


@pytest.mark.parametrize(
    ("column", "place", "value", "group"),
    [
        ("name", 1, "", "g00000"),  # a null is no empty text
        ("name", 0, "xx", "g00000"),
        ("share", 1, 0.0, "g00000"),
        ("flag", 1, False, "g00000"),
        ("hash", 3, b"0123456789abcdeF", "g00001"),
        ("row_key", 4, (3 << 40) + 6, "g00001"),
        ("name", 5, "another", ""),
    ],
)
def test_a_value_changes_the_digest_of_its_group_alone(column, place, value, group):
    """Each kind of column, and nulls."""
    before, after = (
        group_digests(SHARDS, [rows]) for rows in (ROWS, changed(column, place, value))
    )
    assert [key for key in before if before[key] != after[key]] == ([group] if group else [])


def test_values_do_not_move_between_rows():
    """Texts that are the same when they are put together differ."""
    one, other = (changed("name", 0, text) for text in ("ab", "a"))
    other = other.set_column(1, "name", pa.array(["a", "b", *other["name"].to_pylist()[2:]]))
    one = one.set_column(1, "name", pa.array(["ab", "", *one["name"].to_pylist()[2:]]))
    assert group_digests(SHARDS, [one]) != group_digests(SHARDS, [other])


def test_tables_are_told_apart():
    """Rows of a second table, numbered by shard, count as well."""
    more = pa.table({"number": pa.array([3, 9], pa.uint64()), "schema": [b"a", b"b"]})
    before, after = group_digests(SHARDS, [ROWS]), group_digests(SHARDS, [ROWS], [more])
    assert [key for key in before if before[key] != after[key]] == ["g00001", "g00002"]
