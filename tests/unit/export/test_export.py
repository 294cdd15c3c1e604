"""A run taken elsewhere: a database, a folder for a hub, and what is refused."""

import json

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flows.command_line import run as command
from pipeline.corpus import find_shards
from pipeline.errors import ConfigError, InputError, IntegrityError
from pipeline.export.card import size_category
from pipeline.export.croissant import ids
from pipeline.export.database import to_database
from pipeline.export.hub import to_hub
from pipeline.export.table import to_table


def rows(tag, count, **columns):
    """Return rows with a text of their own each, and a copy of the first."""
    own = [
        {"id": f"{tag}{n}", "text": f"words of {tag} number {n}", **columns} for n in range(count)
    ]
    return pa.Table.from_pylist([*own, own[0]])


@pytest.fixture(scope="module")
def done(tmp_path_factory, make_corpus, scan):
    """Give a filtered run of a corpus with two splits."""
    folder = tmp_path_factory.mktemp("exported")
    files = {
        "train-0.parquet": rows("a", 6, label=1, tags=["x"]),
        "sub/test-0.parquet": rows("b", 3, **{"odd name": 0.5}),
    }
    return scan(make_corpus(folder / "c", files), folder / "run")


def test_every_table_and_its_meaning_is_in_the_database(done, tmp_path, capsys):
    """By the command: rows as in kept/, documents, and what each column means."""
    target = tmp_path / "run.duckdb"
    assert command(["export", str(done.folder), "--to", str(target)]) == 0
    assert "rote_columns" in capsys.readouterr().out
    with duckdb.connect(target, read_only=True) as database:
        assert database.execute("select count(*), sum(rote.exact_count) from kept").fetchone() == (
            9,
            11,
        )
        assert database.execute("select count(*) from documents").fetchone() == (11,)
        assert database.execute("select count(*) from removed").fetchone() == (2,)
        meaning = 'select meaning from rote_columns where "table" = \'kept\' and "column" = $name'
        told = database.execute(meaning, {"name": "rote.exact_count"}).fetchone()
        assert told == ("documents with the same bytes of text, itself included",)
        threshold = "select value->>'threshold' from rote_run where key = 'config.near'"
        assert database.execute(threshold).fetchone() == ("0.8",)
    with pytest.raises(InputError, match="there already"):
        to_database(done.folder, target)
    with pytest.raises(InputError, match="not that of a database"):
        to_database(done.folder, tmp_path / "run.txt")


def test_kept_rows_in_json_lines_go_along(tmp_path, make_corpus, scan):
    """To the database as columns, to the hub as they are."""
    corpus = make_corpus(tmp_path / "c [1]", {"a.parquet": rows("a", 2), "b.parquet": rows("b", 2)})
    run = scan(corpus, tmp_path / "r [1]", "emit.format=jsonl").folder
    to_database(run, tmp_path / "x.duckdb")
    with duckdb.connect(tmp_path / "x.duckdb", read_only=True) as database:
        assert database.execute("select count(distinct id) from kept").fetchone() == (4,)
    made = to_hub(run, tmp_path / "h")
    assert [file.path for file in made.files] == ["data/train/a.jsonl", "data/train/b.jsonl"]
    assert '"data/train/**/*.jsonl"' in (tmp_path / "h/README.md").read_text()


def test_a_folder_for_a_hub_has_splits_a_card_and_croissant(done, tmp_path):
    """Files by split with their digests, front matter that names them, a field for each column."""
    made = to_hub(done.folder, tmp_path / "my set")
    folder = tmp_path / "my set"
    assert [(file.path, file.rows) for file in made.files] == [
        ("data/test/sub/test-0.parquet", 3),
        ("data/train/train-0.parquet", 6),
    ]
    assert pq.read_table(folder / made.files[0].path).num_rows == 3
    kept = done.folder / "kept/train-0.parquet"
    assert kept.samefile(folder / made.files[1].path)
    front, body = (folder / "README.md").read_text().removeprefix("---\n").split("---\n", 1)
    assert '- split: train\n    path: "data/train/**/*.parquet"\n  - split: test\n' in front
    assert 'pretty_name: "my set"' in front
    assert "- n<1K" in front
    assert "| 2 | removed: exact copies" in body
    assert "near.threshold = 0.8" in body
    assert "It was not scored." in body
    about = json.loads((folder / "croissant.json").read_text())
    assert about["distribution"][0]["sha256"] == made.files[0].sha256
    train = about["recordSet"][0]
    fields = {field["@id"].split("/")[-1]: field for field in train["field"]}
    assert fields["odd_name"]["source"]["extract"] == {"column": "odd name"}
    assert fields["tags"]["isArray"]
    inner = {field["@id"].split("/")[-1]: field["source"] for field in fields["rote"]["subField"]}
    assert inner["risk"]["transform"] == {"jsonPath": "$.risk"}
    assert inner["risk"]["extract"] == {"column": "rote"}


def test_what_cannot_be_exported_is_refused(done, tmp_path):
    """Nothing asked for, no filter, a folder in use, a damaged file: nothing is left behind."""
    with pytest.raises(ConfigError, match="not valid"):
        command(["export", str(done.folder)])
    with pytest.raises(InputError, match="no kept"):
        to_hub(done.folder, tmp_path / "x", {"kept", "removed"})
    (tmp_path / "used").mkdir()
    (tmp_path / "used/mine").touch()
    with pytest.raises(InputError, match="there already"):
        to_hub(done.folder, tmp_path / "used")
    kept = done.folder / "kept/train-0.parquet"
    whole = kept.read_bytes()
    kept.unlink()
    kept.write_bytes(whole[:-9] + b"x" + whole[-8:])
    try:
        with pytest.raises(IntegrityError, match="damaged"):
            to_hub(done.folder, tmp_path / "y")
    finally:
        kept.write_bytes(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["used"]


def test_names_of_sizes_and_ids():
    """As hubs and readers of Croissant have them."""
    assert [size_category(n) for n in (0, 999, 1000, 10**6, 10**13)] == [
        "n<1K",
        "n<1K",
        "1K<n<10K",
        "1M<n<10M",
        "n>10B",
    ]
    assert ids(["a b", "a_b", "", "c"]) == ["a_b", "a_b_1", "_", "c"]


@pytest.mark.parametrize("name", ["t", "t.lance"])
def test_kept_rows_are_the_new_version_of_a_table(done, tmp_path, capsys, name):
    """Made or made anew, of Delta Lake or Lance; a table or a folder of others is left alone."""
    package = pytest.importorskip("lance" if name.endswith(".lance") else "deltalake")
    target = tmp_path / name

    def read():
        if name.endswith(".lance"):
            table = package.dataset(str(target))
            return table.version, table.to_table()
        table = package.DeltaTable(target)
        return table.version() + 1, pa.table(table.to_pyarrow_table())

    for version in (1, 2):
        assert command(["export", str(done.folder), "--table", str(target)]) == 0
        assert "9 rows, the new version of a table" in capsys.readouterr().out
        number, kept = read()
        assert (number, kept.num_rows) == (version, 9)
        assert pc.sum(pc.struct_field(kept["rote"], "exact_count")).as_py() == 11
    shards, _ = find_shards([str(target)])
    assert shards
    other = tmp_path / f"other{target.suffix}"
    if target.suffix:
        package.write_dataset(pa.table({"a": [1]}), str(other))
    else:
        package.write_deltalake(str(other), pa.table({"a": [1]}))
    for place in (other, tmp_path):
        with pytest.raises(InputError, match="nothing was touched"):
            to_table(done.folder, place)


def test_a_table_takes_no_json_lines_and_no_type_that_it_does_not_know(tmp_path, make_corpus, scan):
    """Times of nanoseconds are none of Delta's; the message quotes the library."""
    pytest.importorskip("deltalake")
    times = pa.array([1], pa.time64("ns"))
    corpus = make_corpus(tmp_path / "c", {"a.parquet": pa.table({"text": ["a b"], "at": times})})
    run = scan(corpus, tmp_path / "r").folder
    with pytest.raises(InputError, match="cannot be written as a table"):
        to_table(run, tmp_path / "t")
    run = scan(corpus, tmp_path / "s", "emit.format=jsonl").folder
    with pytest.raises(InputError, match="no types"):
        to_table(run, tmp_path / "u")


def test_a_table_takes_no_column_of_two_types(tmp_path, make_corpus, scan):
    """Texts that look like the numbers of the first file would become numbers."""
    pytest.importorskip("deltalake")
    rows = {"a.jsonl": [{"text": "a b", "v": 1}], "b.jsonl": [{"text": "c d", "v": "2"}]}
    run = scan(make_corpus(tmp_path / "c", rows), tmp_path / "r").folder
    with pytest.raises(InputError, match="several types") as refused:
        to_table(run, tmp_path / "t")
    assert refused.value.found == "int64 in a.parquet, string in b.parquet"
    assert not (tmp_path / "t").exists()
