import datetime
import decimal
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard, find_shards, read_documents, shard_schema
from pipeline.errors import SchemaMismatch

NESTED = pa.struct([("a", pa.list_(pa.int16())), ("b", pa.map_(pa.string(), pa.float32()))])
DAY = datetime.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=datetime.UTC)


def rich(count):
    """Return a table of many types; every seventh text is null, every eleventh empty."""
    rows = range(count)
    texts = [
        None if n % 7 == 3 else "" if n % 11 == 5 else f"text {n} é" * (n % 5 + 1) for n in rows
    ]
    return pa.table(
        {
            "z": pa.array([n / 3 for n in rows]),
            "text": pa.array(texts),
            "id": pa.array([None if n % 4 == 1 else n for n in rows], pa.int32()),
            "nested": pa.array(
                [{"a": [n, None], "b": [("k", 0.5)]} if n % 3 else None for n in rows], NESTED
            ),
            "money": pa.array([decimal.Decimal(n).scaleb(-2) for n in rows], pa.decimal128(9, 2)),
            "when": pa.array([DAY] * count, pa.timestamp("us", tz="Europe/Berlin")),
            "source": pa.array([f"s{n % 2}" for n in rows]).dictionary_encode(),
            "a.b": pa.array([b"\xff"] * count, pa.large_binary()),
            "key": pa.array([uuid.UUID(int=n).bytes for n in rows], pa.uuid()),
            "list": pa.array([[] if n % 2 else None for n in rows], pa.large_list(pa.null())),
        }
    )


def write(path, table, block):
    """Write a table in the format of the suffix, in blocks of that many rows."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=block)
        return
    new = pa.ipc.new_stream if path.suffix == ".ipc" else pa.ipc.new_file
    with new(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=block)


def open_shard(path):
    """Return the one shard of a path."""
    return find_shards([str(path)])[0][0]


def read_all(shard, config=None, **options):
    """Return everything of a shard in plain values, whatever the batches were."""
    good: list[tuple[Any, ...]] = []
    bad, columns, refused = [], [], []
    batches = 0
    for batch in read_documents(shard, config or InputConfig(), **options):
        batches += 1
        assert batch.texts.type == pa.large_string()
        arrays = (batch.texts, batch.ids, batch.sources, batch.priorities)
        good += zip(batch.rows.tolist(), *(array.to_pylist() for array in arrays), strict=True)
        bad += [(item.row, item.reason, item.text) for item in batch.rejected]
        if batch.columns is not None:
            assert batch.rejected_columns is not None
            columns.append(batch.columns)
            refused.append(batch.rejected_columns)
            assert batch.rejected_columns.num_rows == len(batch.rejected_rows)
    return good, bad, columns, refused, batches


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".ipc"])
@pytest.mark.parametrize("block", [1, 64, 1000])
@pytest.mark.parametrize("batch_bytes", [1, 2000, 32 << 20])
def test_batches_and_blocks_change_nothing(tmp_path, suffix, block, batch_bytes):
    """Rows, values, types and order are those of the table, however it is cut."""
    table = rich(200)
    write(tmp_path / f"x{suffix}", table, block)
    shard = open_shard(tmp_path / f"x{suffix}")
    good, bad, columns, refused, batches = read_all(shard, everything=True, batch_bytes=batch_bytes)
    texts = table["text"].to_pylist()
    kept = [n for n, text in enumerate(texts) if text]
    lost = [n for n, text in enumerate(texts) if not text]
    ids = table["id"].to_pylist()
    assert good == [
        (n, texts[n], f"x{suffix}#{n}" if ids[n] is None else str(ids[n]), f"s{n % 2}", None)
        for n in kept
    ]
    assert bad == [
        (n, "null_text", None) if texts[n] is None else (n, "empty_text", b"") for n in lost
    ]
    assert pa.Table.from_batches(columns).schema.equals(table.schema)
    assert pa.Table.from_batches(columns).to_pylist() == table.take(kept).to_pylist()
    assert pa.Table.from_batches(refused).to_pylist() == table.take(lost).to_pylist()
    found = shard_schema(shard, InputConfig())
    assert all(batch.schema.equals(found, check_metadata=True) for batch in columns)
    assert (batches == 200) == (batch_bytes == 1)
    only = read_all(shard, batch_bytes=batch_bytes)
    assert only[:2] == (good, bad)
    assert only[2] == []


def test_batches_follow_the_asked_size(tmp_path):
    """Small row groups are joined and large ones are cut, to about the size asked for."""
    table = pa.table({"text": ["x" * 1000] * 3000})
    for name, block in (("small.parquet", 10), ("large.parquet", 3000), ("l.arrow", 3000)):
        write(tmp_path / name, table, block)
        sizes = [
            len(batch.rows)
            for batch in read_documents(
                open_shard(tmp_path / name), InputConfig(), batch_bytes=500_000
            )
        ]
        assert sum(sizes) == 3000
        assert max(sizes) <= 1500
        assert len(sizes) <= 12


def test_one_huge_row_among_small_ones_is_read(tmp_path):
    """A row larger than a batch is a batch."""
    texts = ["a", "b" * 3_000_000, "c"]
    write(tmp_path / "x.parquet", pa.table({"text": texts}), 100)
    good = read_all(open_shard(tmp_path / "x.parquet"), batch_bytes=1000)[0]
    assert [row[1] for row in good] == texts


def test_invalid_utf8_in_a_string_column_isolates_its_row(tmp_path):
    """Arrow's readers do not check strings; the bytes are given, the column has null there."""
    raw = pa.array([b"ok", b"\xffbad", None], pa.binary())
    names = pa.array([b"\xfe", b"b", b"c"], pa.binary()).view(pa.string())
    strings = raw.view(pa.string())
    for suffix, text in (
        (".parquet", strings),
        (".arrow", strings),
        (".ipc", strings.dictionary_encode()),
    ):
        path = tmp_path / f"x{suffix}"
        write(path, pa.table({"text": text, "id": names}), 10)
        good, bad, _, refused, _ = read_all(open_shard(path), everything=True)
        assert good == [(0, "ok", "\ufffd", None, None)]
        assert bad == [(1, "invalid_utf8", b"\xffbad"), (2, "null_text", None)]
        assert refused[0].to_pylist() == [{"text": None, "id": "b"}, {"text": None, "id": "c"}]
        assert refused[0].schema.types == [text.type, pa.string()]


def test_configured_columns_are_read_also_when_nested_names_look_alike(tmp_path):
    """A dot in a name is part of the name, and other columns do not get in the way."""
    table = pa.table(
        {
            "a": pa.array([{"b": "wrong"}]),
            "a.b": pa.array([b"right"]),
            "ab": pa.array(["wrong"]),
            "p": pa.array([2], pa.uint8()),
        }
    )
    config = InputConfig(text=("a.b",), priority="p")
    for suffix in (".parquet", ".arrow"):
        write(tmp_path / f"x{suffix}", table, 10)
        good = read_all(open_shard(tmp_path / f"x{suffix}"), config)[0]
        assert good == [(0, "right", f"x{suffix}#0", None, 2.0)]


def test_duplicate_ids_are_allowed(tmp_path):
    """Ids are the user's names, not keys."""
    write(tmp_path / "x.parquet", pa.table({"text": ["a", "b"], "id": ["k", "k"]}), 10)
    assert [row[2] for row in read_all(open_shard(tmp_path / "x.parquet"))[0]] == ["k", "k"]


def test_a_shard_without_rows_yields_nothing(tmp_path):
    """Empty files of every columnar format are fine."""
    for suffix in (".parquet", ".arrow", ".ipc"):
        write(tmp_path / f"x{suffix}", pa.table({"text": pa.array([], pa.string())}), 10)
        shard = open_shard(tmp_path / f"x{suffix}")
        check_shard(shard, InputConfig())
        assert list(read_documents(shard, InputConfig(), everything=True)) == []


def test_string_views_become_plain_strings(tmp_path):
    """Parquet has one string type, so a view keeps its values and loses only its memory layout."""
    views = pa.array(["x", "y", None], pa.string_view())
    inner = pa.array([[b"x"], [b"y"], None], pa.list_(pa.binary_view()))
    table = pa.table({"text": pa.array(["a", None, "c"]), "v": views, "i": inner})
    for suffix in (".arrow", ".parquet"):
        write(tmp_path / f"x{suffix}", table, 10)
        shard = open_shard(tmp_path / f"x{suffix}")
        columns = read_all(shard, everything=True)[2]
        assert columns[0].to_pylist() == [
            {"text": "a", "v": "x", "i": [b"x"]},
            {"text": "c", "v": None, "i": None},
        ]
        assert columns[0].schema.types == [
            pa.string(),
            pa.large_string(),
            pa.list_(pa.large_binary()),
        ]
        assert columns[0].schema.equals(shard_schema(shard, InputConfig()))


def test_arrow_types_that_parquet_lacks_are_refused_by_name(tmp_path):
    """The output is Parquet, so what it cannot hold is refused before any stage."""
    runs = pa.RunEndEncodedArray.from_arrays([2], ["x"])
    write(tmp_path / "x.arrow", pa.table({"text": ["a", "b"], "runs": runs}), 10)
    with pytest.raises(SchemaMismatch) as caught:
        check_shard(open_shard(tmp_path / "x.arrow"), InputConfig())
    assert "run_end_encoded" in caught.value.found
    assert caught.value.where.endswith("x.arrow")


def test_metadata_of_the_schema_stays(tmp_path):
    """Field and schema metadata come through with the columns."""
    schema = pa.schema(
        [pa.field("text", pa.string(), nullable=False, metadata={"k": "v"})], metadata={"m": "n"}
    )
    for suffix in (".parquet", ".arrow"):
        write(tmp_path / f"x{suffix}", pa.table([["a"]], schema=schema), 10)
        shard = open_shard(tmp_path / f"x{suffix}")
        found = shard_schema(shard, InputConfig())
        (batch,) = read_documents(shard, InputConfig(), everything=True)
        assert batch.columns is not None
        assert batch.columns.schema.equals(found, check_metadata=True)
        assert found.metadata[b"m"] == b"n"
        assert found.field("text").metadata[b"k"] == b"v"
        assert not found.field("text").nullable


def test_rows_are_numbered_across_empty_row_groups(tmp_path):
    """A row group without rows takes no number."""
    part = pa.table({"text": ["a"]})
    with pq.ParquetWriter(tmp_path / "x.parquet", part.schema) as writer:
        for piece in (part, part.slice(0, 0), part):
            writer.write_table(piece)
    good = read_all(open_shard(tmp_path / "x.parquet"))[0]
    assert np.array([row[0] for row in good]).tolist() == [0, 1]
