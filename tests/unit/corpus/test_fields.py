"""Text in a field of a column, and the first of several columns that a file has."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard, find_shards, read_documents, shard_schema
from pipeline.errors import SchemaMismatch
from pipeline.filter.emit.edits import TextColumns

ROWS = [
    {"meta": {"id": "x", "deep": {"from": "web"}}, "translation": {"en": "one", "fr": "un"}},
    {"meta": None, "translation": {"en": None, "fr": "deux"}},
    {"meta": {"id": "z", "deep": None}, "translation": None},
]
NESTED = InputConfig(text=("translation.en",), id="meta.id", source="meta.deep.from")


def read(path, config, *, everything=False):
    """Return the batches of each file of a folder by its name."""
    found = {}
    for shard in find_shards([str(path)])[0]:
        check_shard(shard, config)
        found[shard.name] = [*read_documents(shard, config, everything=everything)]
    return found


def write(folder):
    """Write the rows in three formats."""
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "a.parquet")
    (folder / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with pa.ipc.new_file(folder / "c.arrow", pa.Table.from_pylist(ROWS).schema) as out:
        out.write_table(pa.Table.from_pylist(ROWS))


@pytest.mark.parametrize("everything", [False, True])
def test_a_field_of_a_column_is_read_as_text_id_or_source(tmp_path, everything):
    """In Parquet, JSON and Arrow alike; null where its column is; the column comes through."""
    write(tmp_path)
    for name, (batch,) in read(tmp_path, NESTED, everything=everything).items():
        assert batch.texts.to_pylist() == ["one"], name
        assert batch.ids.to_pylist() == ["x"]
        assert batch.sources.to_pylist() == ["web"]
        assert [(bad.row, bad.reason) for bad in batch.rejected] == [
            (1, "null_text"),
            (2, "null_text"),
        ]
        if everything:
            assert batch.columns.to_pylist() == ROWS[:1]
            assert batch.rejected_columns.to_pylist()[0] == ROWS[1]


def test_the_first_column_that_a_file_has_is_its_text(tmp_path):
    """For folders of mixed files; without any of them the error lists what there is."""
    (tmp_path / "a.jsonl").write_text('{"content": "of content", "x": "y"}\n')
    (tmp_path / "b.csv").write_text("body,x\nof body,y\n")
    pq.write_table(pa.table({"odd|name": ["of the odd one"], "x": ["y"]}), tmp_path / "c.parquet")
    config = InputConfig(text=("odd|name", "x"))
    with pytest.raises(SchemaMismatch, match="text column is missing"):
        read(tmp_path, config)
    config = InputConfig(text=("content|body|translation.en",))
    (tmp_path / "c.parquet").unlink()
    write(tmp_path)
    found = read(tmp_path, config)
    texts = {name: batch.texts.to_pylist() for name, (batch,) in found.items()}
    assert texts.pop("b.csv") == ["of body"]
    assert texts == {"a.parquet": ["one"], "b.jsonl": ["one"], "c.arrow": ["one"]} | {
        "a.jsonl": ["of content"]
    }


def test_what_is_no_text_in_a_field_is_refused_or_rejected(tmp_path):
    """A struct by its type; bytes that are not UTF-8 cost their row; cutting needs a column."""
    write(tmp_path)
    (tmp_path / "b.jsonl").unlink()
    with pytest.raises(SchemaMismatch, match="type that cannot be read"):
        read(tmp_path, InputConfig(text=("meta",)))
    with pytest.raises(SchemaMismatch, match="is missing"):
        read(tmp_path, InputConfig(text=("translation.de",)))
    raw = pa.StructArray.from_arrays(
        [pa.array([b"\xff", b"good"]).view(pa.string()), pa.array([1, 2])], ["en", "n"]
    )
    pq.write_table(pa.table({"t": raw}), tmp_path / "d.parquet")
    (shard,), _ = find_shards([str(tmp_path / "d.parquet")])
    config = InputConfig(text=("t.en",))
    (batch,) = read_documents(shard, config, everything=True)
    assert batch.texts.to_pylist() == ["good"]
    assert (batch.rejected[0].reason, batch.rejected[0].text) == ("invalid_utf8", b"\xff")
    assert batch.rejected_columns is not None
    assert batch.rejected_columns.to_pylist() == [{"t": None}]
    with pytest.raises(SchemaMismatch, match="A field of a struct is not changed by x"):
        TextColumns(("t.en",), b"").require_plain(shard_schema(shard, config), "d", {"x": "y"})
