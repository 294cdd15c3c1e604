"""Columns of removed rows are compared with those of the row that stays."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.sections import InputConfig
from pipeline.corpus import find_shards
from pipeline.inspect.other_columns import other_columns


def test_values_that_python_does_not_have_are_compared(tmp_path):
    """Durations and times of nanoseconds, alone and within others; two files of other widths."""
    odd = 2**60 + 1
    times = pa.array([odd, odd, odd + 1])
    table = pa.table(
        {
            "text": ["a"] * 3,
            "took": times.cast(pa.duration("ns")),
            "nested": [{"at": None}] * 3,
            "at": pa.array([[odd], [odd], [odd]]).cast(pa.list_(pa.timestamp("ns"))),
            "n": pa.array([1, 2, 1], pa.int32()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["a"], "n": pa.array([1])}), tmp_path / "b.parquet")
    shards = find_shards([str(tmp_path)])[0]
    found = other_columns(shards, InputConfig(text="text"), 0, [1, 2, 1 << 40])
    assert (found.compared, found.differing) == (3, (("n", 1), ("took", 1)))
