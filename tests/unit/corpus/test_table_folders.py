"""Tables of Delta Lake, Iceberg, Lance: files of the last version, deleted rows stay deleted."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import find_shards
from pipeline.corpus.shards import is_read
from pipeline.errors import ConfigError, CorruptFile, InputError
from pipeline.installed import parts

SCHEMA = json.dumps(
    {
        "type": "struct",
        "fields": [{"name": "text", "type": "string", "nullable": True, "metadata": {}}],
    }
)
PROTOCOL = {"minReaderVersion": 1, "minWriterVersion": 2}
VECTORS = {
    "minReaderVersion": 3,
    "minWriterVersion": 7,
    "readerFeatures": ["deletionVectors"],
    "writerFeatures": ["deletionVectors"],
}
FORMAT = {"provider": "parquet", "options": {}}
META = {"id": "1", "format": FORMAT, "schemaString": SCHEMA, "partitionColumns": []}
ROW_0 = "^Bg9^0rr910000000000iXQKl0rr91000005c8Xg00000"  # as a Roaring bitmap in Z85
INLINE = {"storageType": "i", "pathOrInlineDv": ROW_0, "sizeInBytes": 34, "cardinality": 1}


def delta(folder, protocol=PROTOCOL, **more):
    """Write a table of two versions: the second has one file for another."""
    (folder / "_delta_log").mkdir(parents=True)
    for name in ("old", "new", "same"):
        pq.write_table(pa.table({"text": [f"a text of {name}"]}), folder / f"{name}.parquet")

    def add(name, **about):
        size = (folder / name).stat().st_size
        known = {"path": name, "partitionValues": {}, "size": size, "modificationTime": 0}
        return {"add": {**known, "dataChange": True, **about}}

    first = [{"protocol": protocol}, {"metaData": {**META, "configuration": {}, "createdTime": 0}}]
    first += [add("old.parquet"), add("same.parquet")]
    gone = {"path": "old.parquet", "deletionTimestamp": 0, "dataChange": True}
    second = [{"remove": gone}, add("new.parquet", **more)]
    for version, actions in enumerate((first, second)):
        lines = "".join(json.dumps(action) + "\n" for action in actions)
        (folder / "_delta_log" / f"{version:020}.json").write_text(lines)


def test_the_last_version_of_a_delta_table_is_read(tmp_path):
    """The file of removed rows is no data; other files beside the table are as ever."""
    pytest.importorskip("deltalake")
    delta(tmp_path / "c" / "table")
    (tmp_path / "c" / "a.txt").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "c")
    for root in ("c", "link"):
        names = [shard.name for shard in find_shards([str(tmp_path / root)])[0]]
        assert names == ["a.txt", "table/new.parquet", "table/same.parquet"]
    assert is_read("table/_delta_log/00000000000000000000.json")  # of a table at an address too
    assert not is_read("table/_hidden/a.jsonl")
    (tmp_path / "c/table/same.parquet").unlink()
    with pytest.raises(InputError, match="file of a table is not here"):
        find_shards([str(tmp_path / "c")])
    (tmp_path / "c/table/_delta_log/00000000000000000000.json").write_text("{")
    with pytest.raises(CorruptFile, match="table cannot be read"):
        find_shards([str(tmp_path / "c")])


def test_rows_deleted_beside_the_files_of_a_table_are_refused(tmp_path):
    """They would come back, since the files are read as they are."""
    pytest.importorskip("deltalake")
    delta(tmp_path / "c", VECTORS, deletionVector=INLINE, stats='{"numRecords": 1}')
    with pytest.raises(InputError, match="deleted beside"):
        find_shards([str(tmp_path / "c")])


def test_the_last_version_of_an_iceberg_table_is_read(tmp_path):
    """A file of a former version is no data; a table that was moved is refused."""
    memory = pytest.importorskip("pyiceberg.catalog.memory")
    catalog = memory.InMemoryCatalog("c", warehouse=f"file://{tmp_path}/made")
    catalog.create_namespace("n")
    rows = pa.table({"text": ["one", "two"], "n": [1, 2]})
    table = catalog.create_table("n.t", schema=rows.schema)
    table.append(rows)
    table.delete("n = 1")
    assert len([*(tmp_path / "made/n/t/data").iterdir()]) == 2
    (shard,), _ = find_shards([str(tmp_path / "made")])
    assert pq.read_table(shard.path)["text"].to_pylist() == ["two"]
    (tmp_path / "made").rename(tmp_path / "moved")
    with pytest.raises(CorruptFile):
        find_shards([str(tmp_path / "moved")])


def test_a_table_is_not_read_without_its_reader(tmp_path, monkeypatch):
    """Its old files are no data either: the message says what to install."""
    delta(tmp_path / "c")
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ConfigError, match="tables of Delta Lake and Iceberg is not"), parts():
        find_shards([str(tmp_path / "c")])


def test_the_last_version_of_a_lance_table_is_read(tmp_path, scan):
    """Fragments are shards; with a new column other ones, with deleted rows they are refused."""
    lance = pytest.importorskip("lance")
    place = tmp_path / "c" / "table.lance"
    texts = [f"text number {number} of a table" for number in range(5)]
    lance.write_dataset(pa.table({"text": texts[:4]}), place, max_rows_per_file=2)
    table = lance.write_dataset(pa.table({"text": texts[4:]}), place, mode="append")
    shards, ignored = find_shards([str(tmp_path / "c")])
    assert (len(shards), {shard.format for shard in shards}, ignored) == (3, {"lance"}, [])
    done = scan(tmp_path / "c", tmp_path / "run")
    assert sorted(done.table("kept")["text"].to_pylist()) == texts
    table.add_columns({"size": "length(text)"})
    assert not {shard.name for shard in find_shards([str(place)])[0]} & {s.name for s in shards}
    done = scan(tmp_path / "c", tmp_path / "run")
    assert set(done.table("kept")["size"].to_pylist()) == {len(texts[0])}
    with pytest.raises(CorruptFile, match="last version"):
        scan(shards[0].path, tmp_path / "other")
    table.delete("text like '%number 1%'")
    with pytest.raises(InputError, match="compact_files"):
        find_shards([str(place)])


def test_a_lance_table_asks_for_its_part(tmp_path, monkeypatch):
    """Without the package the message names it."""
    (tmp_path / "t" / "_versions").mkdir(parents=True)
    (tmp_path / "t" / "_versions" / "1.manifest").touch()
    monkeypatch.setitem(sys.modules, "lance", None)
    with pytest.raises(ConfigError, match=r"rote\[lance\]'$"), parts():
        find_shards([str(tmp_path / "t")])
