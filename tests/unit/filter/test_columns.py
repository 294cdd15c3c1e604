import json

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engine.progress import Silent, listen
from pipeline.filter.common_types import common_type


class Heard(Silent):
    """A listener that remembers what it is told."""

    def __init__(self):
        self.lines = []

    def message(self, text):
        """Keep a line."""
        self.lines.append(text)


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
    """Also beside JSON Lines; a column that a shard lacks is null there, after its own."""
    null = pa.table({"text": ["one text of its own"], "n": pa.nulls(1), "l": pa.array([[None]])})
    typed = pa.table(
        {"text": ["another text"], "n": pa.array([7], pa.int16()), "l": [["a"]], "own": [1]}
    )
    done = kept({"a.parquet": null, "b.parquet": typed, "c.jsonl": rows("c", n=None)})
    found = schemas(done)
    own = {"text": "string", "n": "int16", "l": "list<element: string>"}
    assert found["a"] == found["b"] == found["c"] == {**own, "own": "int64", "id": "string"}
    assert list(found["c"])[:3] == ["id", "text", "n"]


def test_all_files_have_one_schema_where_one_holds_every_value(kept):
    """Wider numbers, long strings, plain values for dictionaries; readers need no option.

    A text beside a number cannot be joined: each file has its own type, and the user hears of it.
    """
    narrow = pa.table(
        {
            "text": ["one text of its own"],
            "n": pa.array([1], pa.int32()),
            "f": pa.array([0.5], pa.float32()),
            "d": pa.array(["x"]).dictionary_encode(),
            "s": [{"x": 1}],
            "v": [1],
        },
    )
    wide = pa.table(
        {
            "s": [{"y": "z", "x": 2}],
            "text": pa.array(["another text"], pa.large_string()),
            "n": [2**60],
            "f": [0.1],
            "d": ["y"],
            "sole": ["here"],
            "v": ["x"],
        }
    )
    said = Heard()
    listen(said)
    try:
        done = kept({"a.parquet": narrow, "deep/b.parquet": wide, "c.jsonl": rows("c", n=3)})
    finally:
        listen(Silent())
    folder = done.folder / "kept"
    for found in (pl.scan_parquet(folder), pl.scan_parquet(folder / "**/*.parquet")):
        assert found.select("n", "sole", "s").collect().height == 7
    read = "select sum(n), min(f), max(d), any_value(sole) from read_parquet(?)"
    seen = duckdb.execute(read, [f"{folder}/**/*.parquet"]).fetchone()
    assert seen == (2**60 + 16, 0.1, "y", "here")
    types = schemas(done)
    assert [types[name].pop("v") for name in "abc"] == ["int64", "string", "int64"]
    assert any("column v is of several types" in line for line in said.lines)
    assert types["a"] == {
        "text": "large_string",
        "n": "int64",
        "f": "double",
        "d": "string",
        "s": "struct<x: int64, y: string>",
        "sole": "string",
        "id": "string",
    }
    assert types["a"].items() == types["b"].items() == types["c"].items()


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (pa.int64(), pa.float64(), None),
        (pa.uint32(), pa.int8(), pa.int64()),
        (pa.uint64(), pa.int64(), None),
        (pa.uint8(), pa.uint16(), pa.uint16()),
        (pa.string(), pa.binary(), None),
        (pa.list_(pa.int8()), pa.large_list(pa.int16()), pa.large_list(pa.int16())),
        (pa.list_(pa.int8(), 2), pa.list_(pa.int8(), 3), None),
        (pa.struct({"x": pa.string()}), pa.struct({"x": pa.int8()}), None),
        (pa.date32(), pa.timestamp("s"), None),
    ],
)
def test_a_joint_type_holds_every_value_of_both(one, other, joined):
    """None where it would not."""
    assert common_type(one, other) == common_type(other, one) == joined


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


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_whether_strings_inside_are_json_is_told_file_by_file(kept, names):
    """In one shard a list mixes texts and numbers, in the other it does not, whichever is first."""
    plain, mixed = (f"{name}.jsonl" for name in names)
    done = kept(
        {
            plain: rows(plain, tags=["x", None], deep={"v": "x", "n": 1}),
            mixed: rows(mixed, tags=["x", 1], deep={"v": "x", "n": 1})
            + rows(f"{mixed} too", tags=[{"y": 1}], deep={"v": 2, "n": 1}),
        }
    )
    found = {
        name: pq.ParquetFile(done.folder / f"kept/{name[0]}.parquet").read()
        for name in (plain, mixed)
    }
    assert found[plain]["tags"][0].as_py() == ["x", None]
    assert found[plain]["deep"][0].as_py() == {"v": "x", "n": 1}
    assert found[mixed]["tags"][0].as_py() == ['"x"', "1"]
    assert found[mixed]["deep"][0].as_py() == {"v": '"x"', "n": 1}
    told = {
        name: (
            table.schema.field("tags").type.value_field.metadata,
            table.schema.field("deep").type.field("v").metadata,
        )
        for name, table in found.items()
    }
    assert told == {plain: (None, None), mixed: ({b"encoding": b"json"},) * 2}
