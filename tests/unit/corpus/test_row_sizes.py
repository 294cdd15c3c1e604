import gzip
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard, find_shards, read_documents
from pipeline.corpus.room import MOST, give_room
from pipeline.corpus.row_sizes import cuts, row_sizes
from pipeline.errors import InputError, SchemaMismatch

LONG = [f"{'abcdefg ' * 2_000}{n}" for n in range(9)]  # of 16 KB
MANY = [LONG[n % 9] for n in range(3_000)]
CODED = pa.DictionaryArray.from_arrays(pa.array(np.arange(3_000) % 9, pa.int32()), pa.array(LONG))
RUNS = pa.RunEndEncodedArray.from_arrays(pa.array([1_000, 3_000], pa.int32()), pa.array(LONG[:2]))


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        (pa.array(["", "abc", None, "\u00e9"]), [0, 3, 0, 2]),
        (pa.array([b"12345", None], pa.large_binary()), [5, 0]),
        (pa.array(["x" * 30, "y", "x" * 30, None]).dictionary_encode(), [30, 1, 30, 30]),
        (pa.array(["x" * 30, "y", "x" * 30]).dictionary_encode().slice(1), [1, 30]),
        (pa.array([], pa.dictionary(pa.int8(), pa.string())), []),
        (RUNS.slice(999, 2), [len(LONG[0]), len(LONG[1])]),
        (pa.array([1, 2, 3], pa.int64()), [8, 8, 8]),
    ],
)
def test_a_row_is_as_large_as_its_values_are_written_out(values, sizes):
    """A value behind a dictionary or a run counts for every row that has it."""
    found = row_sizes(pa.record_batch([values, values], ["a", "b"]))
    assert found.tolist() == [2 * size for size in sizes]


@pytest.mark.parametrize("most", [1, 10, 25, 1_000])
def test_cuts_are_runs_of_so_many_bytes_or_of_one_row(most):
    """All rows in order, each run within the bytes unless it is one row."""
    sizes = np.array([3, 40, 0, 0, 7, 7, 7, 7, 7, 100])
    runs = cuts(sizes, most)
    assert [row for first, length in runs for row in range(first, first + length)] == [*range(10)]
    assert all(
        length == 1 or sizes[first : first + length - 1].sum() < most for first, length in runs
    )
    assert cuts(np.zeros(0, np.int64), 5) == []


@pytest.mark.parametrize("kind", ["pages", "dictionary", "ipc"])
def test_batches_are_of_the_size_asked_for_whatever_the_encoding(tmp_path, kind):
    """A file of 0.2 MB with 3,000 rows of nine texts of 16 KB is read a megabyte at a time."""
    table = pa.table({"text": pa.array(MANY) if kind == "pages" else CODED})
    if kind == "ipc":
        with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as out:
            out.write_table(table)
    else:
        pq.write_table(table, tmp_path / "a.parquet")
    (shard,), _ = find_shards([str(tmp_path)])
    assert shard.bytes < 300_000
    batches = list(read_documents(shard, InputConfig(), everything=True, batch_bytes=1 << 20))
    assert [text for batch in batches for text in batch.texts.to_pylist()] == MANY
    assert max(sum(map(len, batch.texts.to_pylist())) for batch in batches) < 3 << 20


def test_a_run_end_encoded_column_is_refused_in_words(tmp_path):
    """Parquet cannot hold it, so kept/ could not: the message says so before anything is read."""
    table = pa.table({"text": pa.array(["short"] * 3_000), "other": RUNS})
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as out:
        out.write_table(table)
    (shard,), _ = find_shards([str(tmp_path)])
    with pytest.raises(SchemaMismatch, match="cannot be written as Parquet"):
        check_shard(shard, InputConfig())


@pytest.fixture
def small_room():
    """Give lines room for 2 MB, and a budget to name."""
    give_room(2_000_000, lambda length: f"{length // 10**6}MB")
    yield
    give_room(MOST)


@pytest.mark.usefixtures("small_room")
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv"])
@pytest.mark.parametrize("ended", [True, False])
def test_a_line_that_is_longer_than_there_is_room_for_is_refused(tmp_path, name, ended):
    """It is counted, never held; the message names the line, its length and the budget."""
    long = '{"text": "' + "word " * 1_000_000 + '"}' if "json" in name else "word " * 1_000_000
    lines = ['{"text": "a b"}' if "json" in name else "text", long, *(["x"] if ended else [])]
    data = ("\n".join(lines) + ("\n" if ended else "")).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    (shard,), _ = find_shards([str(tmp_path)])
    tracemalloc.start()
    with pytest.raises(InputError, match="longer than there is memory for") as refused:
        list(read_documents(shard, InputConfig(text=("text",))))
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # twice: the line so far, and the block that goes beyond
    assert held < 14_000_000
    assert "line 2" in refused.value.where
    assert refused.value.found in ("5 MB", "6 MB")  # a CSV line counts its end
    assert refused.value.fix == "--set limits.memory=5MB"
