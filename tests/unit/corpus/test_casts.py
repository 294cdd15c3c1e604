"""Columns of nulls, and of lists and structs that hold nothing else, go through a run unchanged."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus.casts import holds_nulls, in_type
from pipeline.filter.emit import emit

ROWS = [
    {
        "text": f"the words of row {n} and of no other row" if n % 5 else "",
        "tags": [None] * (n % 4),
        "meta": {"license": None, "number": n, "tags": [None] * (n % 7)},
        "turns": [{"name": None, "number": n}] * (n % 3),
    }
    for n in range(40)
]
KEPT = [row for row in ROWS if row["text"]]
REJECTED = [row for row in ROWS if not row["text"]]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_rows_have_their_nulls(tmp_path, make_corpus, scan, monkeypatch, suffix, format):
    """Also where a shard is written in several parts, and in rejected rows."""
    monkeypatch.setattr(emit, "PART_BYTES", 200)
    corpus = make_corpus(tmp_path / "c", {f"a.{suffix}": ROWS})
    done = scan(corpus, tmp_path / "run", f"emit.format={format}")
    if format == "jsonl":
        lines = (done.folder / "kept/a.jsonl").read_text().splitlines()
        kept = [json.loads(line) for line in lines]
    else:
        kept = done.table("kept").to_pylist()
        assert len(done.manifest["outputs"]["emit/g00000"]["facts"]["shards"][0]["parts"]) > 3
    assert [{name: row[name] for name in ROWS[0]} for row in kept] == KEPT
    assert done.table("rejected")["record"].to_pylist() == REJECTED


def test_a_column_keeps_its_nulls_beside_a_field_of_two_types(tmp_path, make_corpus, scan):
    """Each file has its own type then: no cast keeps the nulls in a list."""
    shards = {}
    for name, kind in (("a", pa.int32()), ("b", pa.float32())):
        fields = pa.struct([("tags", pa.list_(pa.null())), ("number", kind)])
        meta = pa.array([{"tags": [None] * (n % 4), "number": n} for n in range(9)], fields)
        texts = pa.array([f"{name} text {n} of a shard and no other" for n in range(9)])
        shards[f"{name}.parquet"] = pa.table({"text": texts, "meta": meta})
    done = scan(make_corpus(tmp_path / "c", shards), tmp_path / "run")
    for name, table in shards.items():
        written = pq.ParquetFile(done.folder / "kept" / name).read()["meta"]
        assert written.to_pylist() == table["meta"].to_pylist()
        assert written.type == table["meta"].type


def test_what_has_its_type_is_not_cast():
    """A list of more nulls than it has rows is as it was."""
    values = pa.array([[None] * n for n in range(9)], pa.list_(pa.null())).slice(3)
    assert in_type(values, values.type) is values
    assert in_type(values, pa.list_(pa.int8())).to_pylist() == values.to_pylist()


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (pa.null(), True),
        (pa.struct([("a", pa.large_list(pa.null()))]), True),
        (pa.map_(pa.string(), pa.null()), True),
        (pa.list_(pa.struct([("a", pa.int8())])), False),
    ],
)
def test_nulls_are_found_at_any_depth(kind, found):
    """A type holds nulls where one of its parts is their type."""
    assert holds_nulls(kind) is found
