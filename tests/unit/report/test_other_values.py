"""In which columns and in which ends removed copies differ from the rows that stay."""

import json

import pyarrow as pa

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.engine.manifest import saved_config

WORDS = " ".join(f"word{number}" for number in range(40))


def rows(*labels, **more):
    """Return copies of one text with a label each."""
    return [
        {"id": f"r{n}", "text": WORDS, "label": label, **more} for n, label in enumerate(labels)
    ]


def told(folder):
    """Write the report of a run; return what it tells of columns and of ends, and the page."""
    config = load_config(base=saved_config(folder), settings=["limits.workers=1"])
    with run.session(folder, config, LocalMapper(1)) as session:
        run.write_report(session)
    data = json.loads((folder / "report" / "report.json").read_text())
    return data["other_values"], data["endings"], (folder / "report" / "index.html").read_text()


def test_labels_that_copies_had_are_counted(tmp_path, make_corpus, scan):
    """By column; texts, ids, lists and rows without a value are left out, near copies count."""
    near = {"id": "n", "text": f"{WORDS} more", "label": 2, "tags": ["y"], "when": "then"}
    files = {
        "a.parquet": [*rows(1, 1, 2, None, tags=["x"], when="now")],
        "b.parquet": [near, {"id": "o", "text": "another text alone", "label": 7, "when": "now"}],
    }
    done = scan(make_corpus(tmp_path / "c", files), tmp_path / "run")
    found, _, page = told(done.folder)
    assert found["rows"] == 4
    # the near copy is longer, so it stays: label 2 and `then`, beside 1, 1, 2, null and `now`
    assert found["columns"] == [{"column": "when", "rows": 4}, {"column": "label", "rows": 2}]
    assert "4 in when, 2 in label" in page


def test_a_column_of_several_types_is_left_out(tmp_path, make_corpus, scan):
    """Numbers in one file and words in another are not compared, codes by their words."""
    coded = pa.table(
        {
            "text": [WORDS, WORDS],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "n": pa.array([1, 2]),
        }
    )
    other = pa.table(
        {
            "text": [WORDS, "more of it"],
            "kind": pa.array(["y", "x"]).dictionary_encode(),
            "n": pa.array(["1", "2"]),
        }
    )
    files = {"a.parquet": coded, "b.parquet": other}
    done = scan(make_corpus(tmp_path / "c", files), tmp_path / "run")
    found, *_ = told(done.folder)
    assert found == {"rows": 2, "columns": [{"column": "kind", "rows": 2}]}


def test_nothing_is_told_where_nothing_can_be_compared(tmp_path, make_corpus, scan):
    """Only text and id, rows in JSON Lines, or copies that agree in all."""
    plain = make_corpus(tmp_path / "c", {"a.jsonl": [WORDS, WORDS]})
    assert told(scan(plain, tmp_path / "r").folder)[0] is None
    same = make_corpus(tmp_path / "d", {"a.parquet": rows(3, 3)})
    found, _, page = told(scan(same, tmp_path / "s").folder)
    assert found == {"rows": 1, "columns": []}
    assert "in other columns" not in page
    assert told(scan(same, tmp_path / "t", "emit.format=jsonl").folder)[0] is None


def test_one_question_with_another_answer_is_counted(tmp_path, make_corpus, scan):
    """A near copy with other last words, not one that only goes on or differs in the middle."""
    question = f"Which of these is right: {WORDS}? The answer is"
    texts = [f"{question} the first.", f"{question} the second."]
    other = WORDS.replace("word", "more")
    texts += [f"{other} end", f"{other.replace('more20', 'changed')} end", f"{other} end and on"]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    done = scan(corpus, tmp_path / "run", "near.threshold=0.7")
    _, found, page = told(done.folder)
    assert found == {"looked_at": 3, "other_end": 1}
    assert "1 begin as the row that stays does" in page
