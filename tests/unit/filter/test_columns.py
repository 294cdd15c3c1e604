import json

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def schemas(done, table="kept"):
    """Return the types of the user's columns of each file, by its name."""
    found = {}
    for path in sorted((done.folder / table).rglob("*.parquet")):
        fields = [field for field in pq.read_schema(path) if field.name != "rote"]
        found[path.stem] = {field.name: str(field.type) for field in fields}
    return found


def rows(tag, **columns):
    """Return rows with a text of their own each."""
    return [{"id": f"{tag}{n}", "text": f"words of {tag} number {n}", **columns} for n in range(5)]


@pytest.fixture
def kept(tmp_path, make_corpus, scan):
    """Give a function that scans and filters files and returns the run."""

    def filtered(files, *settings):
        return scan(make_corpus(tmp_path / "c", files), tmp_path / "run", *settings)

    return filtered


def test_what_is_null_in_one_shard_has_the_type_of_the_others(kept):
    """Nulls, empty lists and missing fields of JSON Lines: all files read as one table."""
    done = kept(
        {
            "a.jsonl": rows("a", other=None, tags=[], deep={"x": None}),
            "b.jsonl": rows("b", other=True, tags=["x"], deep={"x": 1, "y": "z"}),
            "c.jsonl": rows("c", more=1.5),
            "d.jsonl": [],
        }
    )
    assert len({str(types) for types in schemas(done).values()}) == 1
    assert schemas(done)["a"] == {
        "id": "string",
        "text": "string",
        "other": "bool",
        "tags": "list<element: string>",
        "deep": "struct<x: int64, y: string>",
        "more": "double",
    }
    assert len({str(types) for types in schemas(done, "removed").values()}) == 1
    folder = done.folder / "kept"
    assert pl.scan_parquet(folder).collect().height == 15
    read = "select count(*), count(other), sum(more) from read_parquet(?)"
    assert duckdb.execute(read, [f"{folder}/**/*.parquet"]).fetchone() == (15, 5, 7.5)
    values = pq.read_table(folder / "a.parquet").to_pylist()[0]
    assert (values["tags"], values["deep"], values["more"]) == ([], {"x": None, "y": None}, None)


def test_null_columns_of_parquet_get_a_type_and_others_stay(kept):
    """Also beside JSON Lines; a column that a Parquet shard lacks is not added to it."""
    null = pa.table({"text": ["one text of its own"], "n": pa.nulls(1), "l": pa.array([[None]])})
    typed = pa.table(
        {"text": ["another text"], "n": pa.array([7], pa.int16()), "l": [["a"]], "own": [1]}
    )
    done = kept({"a.parquet": null, "b.parquet": typed, "c.jsonl": rows("c", n=None)})
    found = schemas(done)
    assert found["a"] == {"text": "string", "n": "int16", "l": "list<element: string>"}
    assert found["b"] == {**found["a"], "own": "int64"}
    assert found["c"]["n"] == "int16"


def test_numbers_are_joined_and_what_would_become_json_stays(kept):
    """Whole numbers beside fractions are doubles; text beside numbers keeps each shard's type."""
    done = kept(
        {
            "a.jsonl": rows("a", score=1, mixed=1, wide=2**60, nested=[{"v": 1}]),
            "b.jsonl": rows("b", score=0.5, mixed="x", wide=0.5, nested=[{"v": "y"}]),
        }
    )
    found = schemas(done)
    assert (found["a"]["score"], found["b"]["score"]) == ("double", "double")
    assert (found["a"]["mixed"], found["b"]["mixed"]) == ("int64", "string")
    assert (found["a"]["wide"], found["b"]["wide"]) == ("int64", "double")
    assert found["a"]["nested"] != found["b"]["nested"]
    assert pq.read_table(done.folder / "kept/a.parquet")["wide"].to_pylist() == [2**60] * 5


def test_the_text_column_of_a_shard_is_guessed_from_its_own_fields(kept):
    """A field that only other shards have is not taken for the text."""
    done = kept({"a.jsonl": rows("a"), "b.jsonl": [{"content": "some text of another name"}]})
    assert schemas(done)["b"] == {"id": "string", "text": "string", "content": "string"}
    read = pq.read_table(done.folder / "kept/b.parquet").to_pylist()
    assert [(row["text"], row["content"]) for row in read] == [(None, "some text of another name")]


def test_json_lines_of_all_shards_have_the_same_fields(kept):
    """What is written as JSON has the fields of the union too."""
    done = kept({"a.jsonl": rows("a", x=1), "b.jsonl": rows("b")}, "emit.format=jsonl")
    line = (done.folder / "kept/b.jsonl").read_text().splitlines()[0]
    assert list(json.loads(line)) == ["id", "text", "x", "rote"]
