"""Texts that are held against a scanned corpus, with what brute force finds."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows import commands
from flows.arguments import AuditArguments
from pipeline.engine.tables import write_table
from pipeline.errors import ConfigError, InputError
from pipeline.inspect.audit import AuditQuestion, _documents, audit
from pipeline.inspect.audit_sums import share_of
from pipeline.scan import words
from schemas.inspect.audited import AUDITED
from schemas.score.risk import DOCUMENT_RISK
from tests import reference
from tests.unit.matching.brute import covered, longest, runs, shingles

PASSAGE = "the quick brown fox jumps over the lazy dog and then it rests"
LICENCE = " ".join(f"w{n}" for n in range(80))
CORPUS: dict[str, list[str]] = {
    "a.jsonl": [PASSAGE, f"At first: {PASSAGE}, said she.", LICENCE, "to be or not to be"],
    "b.jsonl": [f"x {LICENCE} y", PASSAGE, f"{PASSAGE} {PASSAGE}", "...", "ha ha ha ha ha"],
}
DOCUMENTS = [reference.words(one) for texts in CORPUS.values() for one in texts]
SIZE = 4
ROWS: list[dict[str, str | None]] = [
    {"question": PASSAGE.upper(), "answer": "the lazy DOG"},
    {"question": f"{PASSAGE[:25]} unknown {PASSAGE[30:]}", "answer": "nowhere here"},
    {"question": LICENCE.replace("w20 ", "other "), "answer": "ha ha ha ha ha ha"},
    {"question": "entirely unknown words of no document", "answer": None},
    {"question": "...", "answer": "dog and"},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory, make_corpus, scan):
    """Return a scanned and filtered run with chunks of a few words, and a folder of texts."""
    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "FULL", np.array([20, 12], np.int64))
        done = scan(make_corpus(folder / "corpus", CORPUS), folder / "run", "window.words=5")
    make_corpus(folder / "texts", {"test-qa.jsonl": ROWS, "plain.jsonl": [PASSAGE, "unknown"]})
    return done.folder


def test_every_figure_is_that_of_brute_force(run):
    """Covered words, longest runs, counts and nearest documents, by the definitions."""
    found = audit(run, AuditQuestion((str(run.parent / "texts" / "test-qa.jsonl"),), SIZE))
    table = found.table
    assert table.schema.equals(AUDITED, check_metadata=True)
    told = {(row["row"], row["field"]): row for row in table.to_pylist()}
    given = [(n, name, row[name]) for n, row in enumerate(ROWS) for name in row if row[name]]
    assert len(told) == len(given) == 9
    for row, field, text in given:
        own = reference.words(text)
        size, line = min(SIZE, len(own)), told[row, field]
        assert (line["words"], line["run_words"], line["kind"]) == (len(own), size, field)
        places = covered(own, DOCUMENTS, size) if own else set()
        assert line["covered_words"] == len(places)
        sizes = [longest(own, document, size) for document in DOCUMENTS] if own else [0]
        assert line["longest_run"] == max(sizes)
        counts = [sum(runs(d, size).count(one) for d in DOCUMENTS) for one in runs(own, size)]
        assert line["largest_count"] == (max(counts) if own else 0)
        sets = [shingles(document) for document in DOCUMENTS]
        own_set = shingles(own)
        jaccard = [len(own_set & one) / max(1, len(own_set | one)) for one in sets]
        inside = [len(own_set & one) / max(1, len(own_set)) for one in sets]
        assert line["jaccard"] == max(jaccard)
        assert line["containment"] == max(inside)
        for name, shares in (("nearest", jaccard), ("holder", inside)):
            at = int(np.argmax(shares))
            expected = ("a.jsonl", at) if at < 4 else ("b.jsonl", at - 4)
            place = (line[f"{name}_shard"], line[f"{name}_row"])
            assert place == (expected if max(shares) else (None, None))


def test_a_document_is_named_with_what_became_of_it(run):
    """The nearest document of a text is told with its decision."""
    found = audit(run, AuditQuestion((str(run.parent / "texts" / "plain.jsonl"),), SIZE))
    first, other = found.table.to_pylist()
    assert (first["nearest_doc_id"], first["nearest_decision"]) == ("a.jsonl#0", "kept")
    assert (first["jaccard"], first["nearest_risk"], first["largest_count"]) == (1.0, None, 5)
    assert (other["nearest_doc_id"], other["nearest_decision"]) == (None, None)


def test_a_command_prints_sums_and_writes_a_table(run, tmp_path, capsys):
    """The sums are by file and field, and the table has a row per text and no text."""
    out = tmp_path / "audited.parquet"
    files = (str(run.parent / "texts"),)
    assert commands.audit(AuditArguments(run, files, words=SIZE, out=out, generations=True)) == 0
    said = capsys.readouterr().out
    assert "7 rows of 2 files held against 9 documents, by runs of 4 words" in said
    assert "test-qa.jsonl: question (test)" in said
    assert "Memorization distance" in said
    assert PASSAGE not in said
    assert pq.read_table(out).num_rows == 11
    assert commands.audit(AuditArguments(run, files, words=SIZE, out=out, json=True)) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["file"], one["field"]) for one in told["sets"]] == [
        ("", ""),
        ("plain.jsonl", "text"),
        ("test-qa.jsonl", "answer"),
        ("test-qa.jsonl", "question"),
    ]
    assert told["sets"][3]["long_runs"]["value"] == 1.0


def test_a_generation_is_nearer_than_documents_are_to_others(run, make_corpus, tmp_path):
    """The distance of recited texts is 0; a document is not compared with itself, copies are."""
    make_corpus(tmp_path, {"recited.jsonl": [LICENCE, PASSAGE]})
    question = AuditQuestion((str(tmp_path / "recited.jsonl"),), SIZE, generations=True)
    distance = audit(run, question).distance
    assert distance is not None
    assert distance.by_containment == distance.by_jaccard == 0.0
    assert (distance.held_out, distance.held_out_words) == (2, 46)
    cut = [document[:46] for document in DOCUMENTS if len(document) >= 46]
    inside = [len(shingles(cut[0]) & shingles(cut[1])) / 42]
    assert distance.held_out_by_containment == pytest.approx(0.5 * (1 - 1) + 0.5 * (1 - inside[0]))


def test_files_that_cannot_be_held_against_it_are_refused(run, tmp_path, make_corpus):
    """No text, a wrong number of words, a table that would be written over something else."""
    make_corpus(tmp_path, {"empty.jsonl": [{"text": ""}]})
    with pytest.raises(InputError, match="No row of the files has a text"):
        audit(run, AuditQuestion((str(tmp_path / "empty.jsonl"),)))
    with pytest.raises(ConfigError, match="number of words"):
        audit(run, AuditQuestion((str(tmp_path / "empty.jsonl"),), 0))
    with pytest.raises(ConfigError, match="no table of an audit"):
        commands.audit(AuditArguments(run, ("x",), out=tmp_path / "empty.jsonl"))


def test_an_interval_counts_texts_and_not_their_words():
    """Where whole texts are covered or not, the interval is Wilson's for so many texts."""
    parts, wholes = np.array([100, 0, 100, 0]), np.full(4, 100)
    share = share_of(parts, wholes)
    assert (share.value, round(share.low, 3), round(share.high, 3)) == (0.5, 0.15, 0.85)
    nothing = share_of(np.zeros(100, np.int64), np.full(100, 7))
    assert (nothing.value, round(nothing.low, 3), round(nothing.high, 3)) == (0.0, 0.0, 0.037)


def test_an_order_is_no_risk_of_a_document(tmp_path):
    """Where the target is over ten times the proxies the risk is null, as where none was scored."""
    rows = {"row_key": [1, 2], "risk": [0.2, 0.3], "risk_low": [0.1] * 2, "risk_high": [0.4] * 2}
    rows |= {"extrapolated": [True, False], "kind": [None] * 2, "expected_tokens": [6.4, 9.6]}
    rows |= {"scored_share": [1.0] * 2, "last_exposure": [None] * 2, "spacing": [None] * 2}
    with write_table(tmp_path, "document_risk", "all", DOCUMENT_RISK) as out:
        out.write(pa.table(rows, DOCUMENT_RISK))
    tables = {"document_risk": [tmp_path / out.record.path]}
    found = _documents("nearest", np.array([2, 1, 3], np.uint64), tables)
    assert found["nearest_risk"].to_pylist() == [0.3, None, None]
