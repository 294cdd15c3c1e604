"""`import rote`: runs, tables, questions, and a list deduplicated in one line."""

import sys

import polars as pl
import pyarrow as pa
import pytest

import rote
from rote import shadowed
from rote.deduplication import _taken
from rote.settings import Settings, as_options

TEXTS = [" ".join(f"w{n}x{k}" for k in range(60)) for n in range(3)]


@pytest.fixture(scope="module")
def run(tmp_path_factory, make_corpus):
    """Give a filtered run of five rows, made by the library."""
    folder = tmp_path_factory.mktemp("library")
    rows = [{"id": f"r{n}", "text": text} for n, text in enumerate([*TEXTS, TEXTS[0], ""])]
    corpus = make_corpus(folder / "c", {"a.parquet": pa.Table.from_pylist(rows)})
    return rote.scan(corpus, folder / "run", {"near.threshold": 0.9}).filter()


def test_tables_are_frames_of_any_kind(run):
    """Polars, lazy, Arrow, DuckDB, and as an Arrow stream; columns have their meaning."""
    assert run.documents().height == len(run.documents) == 4
    assert run.kept.lazy().select("id").collect()["id"].to_list() == ["r0", "r1", "r2"]
    assert run.removed.arrow()["rote"].to_pylist()[0]["reason"] == "exact_copy"
    assert run.rejected.duckdb().count("row").fetchall() == [(1,)]
    assert pl.DataFrame(run.decisions).height == pa.table(run.families).num_rows == 4
    assert run.documents.columns["exact_count"].startswith("documents with the same bytes")
    assert run.settings["near"]["threshold"] == 0.9
    assert {"pairs", "spans", "kept", "removed"} <= set(run.tables)


def test_a_table_that_is_not_there_is_said(run):
    """By name, with what makes it."""
    with pytest.raises(rote.RoteError, match="no such table"):
        _ = run.risk
    with pytest.raises(rote.RoteError):
        rote.open(run.folder / "kept")
    with pytest.raises(rote.RoteError, match="for the command"):
        rote.open("s3://bucket/run")


def test_tables_of_a_run_that_found_nothing_are_empty(tmp_path, make_corpus):
    """With neither copies nor rejected rows, each table that is documented is a frame of none."""
    rows = pa.Table.from_pylist([{"id": "a", "text": TEXTS[0]}, {"id": "b", "text": TEXTS[1]}])
    done = rote.scan(make_corpus(tmp_path / "c", {"a.parquet": rows}), tmp_path / "run").filter()
    for name in ("removed", "rejected", "pairs", "spans"):
        found = done.table(name)
        assert found().height == found.lazy().collect().height == len(found) == 0, name
        assert found.duckdb().fetchall() == [], name
        assert pa.table(found).schema.names == list(found.columns) == found().columns
        assert repr(found).startswith(f"<rote table {name}: 0 rows")
    assert done.rejected().columns == ["text", "reason", "shard", "row"]
    assert done.kept().height == done.families().height == done.decisions().height == 2


def test_questions_have_words_and_data(run):
    """An explanation and a query, as `rote explain` and `rote query` say them."""
    told = run.explain("r3")
    assert "REMOVED as an exact copy" in str(told)
    assert told.data[0].keeper["doc_id"] == "r0"
    assert run.query(TEXTS[1]).data.exact_copies == 1
    assert "3  (" in run.summary()
    for shown in (run, told, run.documents):
        assert shown._repr_html_().startswith("<p")
        assert repr(shown)
    assert "<script" not in rote.Told(0, "<script>")._repr_html_()


def test_a_list_is_deduplicated_with_its_proofs():
    """Exact and near copies go, each with its keeper and Jaccard; rows without a text are said."""
    near = f"{TEXTS[1]} and more"
    done = rote.dedup([*TEXTS, TEXTS[0], near, "", None])
    assert done.kept == [TEXTS[0], TEXTS[2], near]
    assert done.rows == [0, 2, 4]
    exact, near_copy = sorted(done.removed.rows(named=True), key=lambda row: -row["jaccard"])
    assert exact == {"row": 3, "reason": "exact_copy", "keeper": 0, "jaccard": 1.0}
    assert (near_copy["row"], near_copy["keeper"]) == (1, 4)
    assert near_copy["jaccard"] == pytest.approx(56 / 58)
    assert done.rejected.rows() == [(5, "empty_text"), (6, "null_text")]
    assert repr(done).startswith("<7 rows: 3 kept, 2 removed (1 ")
    assert rote.dedup([]).kept == []


def test_a_frame_is_deduplicated_in_its_own_form():
    """Of a Polars frame rows stay rows; so they do of an Arrow table."""
    frame = pl.DataFrame({"n": [1, 2, 3], "body": [TEXTS[0], f"{TEXTS[0]} more", TEXTS[1]]})
    done = rote.dedup(frame, "body")
    assert done.kept.equals(frame[[1, 2]])
    assert _taken(frame.to_arrow(), done.rows)["n"].to_pylist() == [2, 3]


def test_settings_are_written_as_on_the_command_line():
    """Strings quoted, lists and tables as TOML has them."""
    given: Settings = {"a.b": "x", "c.d": [1, True], "e.f": {"k l": 0.5}}
    assert as_options(given) == ['a.b="x"', "c.d=[1, true]", 'e.f={"k l" = 0.5}']


def test_a_foreign_package_of_our_names_is_refused(tmp_path, monkeypatch):
    """One message: which, where, what to do; the command has it without a traceback."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "flows")
    monkeypatch.setattr(sys, "argv", ["python"])
    with pytest.raises(ImportError, match="Another package named `flows`") as told:
        shadowed.refuse_others()
    assert str(tmp_path / "flows") in str(told.value)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/rote"])
    with pytest.raises(SystemExit, match="rote: Another package"):
        shadowed.refuse_others()


def test_a_text_that_is_not_unicode_is_rejected():
    """Half a pair of surrogates, or bytes: one such row is no reason to refuse the others."""
    done = rote.dedup([TEXTS[0], "\ud800 half", b"\xff", TEXTS[1].encode()])
    assert done.rows == [0, 3]
    assert done.rejected.rows() == [(1, "invalid_utf8"), (2, "invalid_utf8")]


def test_a_frame_may_have_columns_that_parquet_cannot_hold():
    """Polars gives categories as views."""
    kinds = {"label": pl.Categorical, "body": pl.String}
    frame = pl.DataFrame({"label": ["a", "b"], "body": [TEXTS[0]] * 2}, schema=kinds)
    assert rote.dedup(frame).kept.equals(frame[[0]])


NOT_FRAMES = [
    *("one text", [1, 2], 7, ("a", "b"), {"text": ["a", "b"]}),
    *(pl.Series(["a", "b"]), pl.LazyFrame()),
]


@pytest.mark.parametrize("data", NOT_FRAMES)
def test_what_is_no_list_of_texts_and_no_frame_is_refused(data):
    """One error of ours, which says what to give."""
    with pytest.raises(rote.RoteError, match="cannot be read"):
        rote.dedup(data)
    with pytest.raises(rote.RoteError, match="cannot be read"):
        rote.dedup(pl.DataFrame({"a": ["x"]}), "b")


def test_a_column_of_several_types_is_no_one_table(tmp_path, make_corpus):
    """One error of ours, which says how it is read; so it is."""
    rows = {"a.jsonl": [{"text": TEXTS[0], "v": 1}], "b.jsonl": [{"text": TEXTS[1], "v": "x"}]}
    kept = rote.scan(make_corpus(tmp_path / "c", rows), tmp_path / "r").filter().kept
    with pytest.raises(rote.RoteError, match="several types"):
        kept()
    assert sorted(kept.duckdb().project("v").fetchall()) == [("1",), ("x",)]
