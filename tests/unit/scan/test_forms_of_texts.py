"""The setting text.normalize through a scan and a filter: words are joined, bytes stay."""

import json
import unicodedata

import pytest

from pipeline.engine.manifest import load_manifest
from pipeline.inspect.lookup import lookup
from pipeline.report.data.alarms import differing_in_form
from pipeline.scan import signatures

TEXT = " ".join(f"caf\u00e9{n} na\u00efve men" for n in range(30))
TWIN = unicodedata.normalize("NFD", TEXT).replace("men", "m\u00aden").replace(" ", "\u00a0")
OTHER = "plain words of another kind"
PASSAGE = "\u00e9t\u00e9 of words that stand in two documents here and there again and again so"


@pytest.fixture
def twins(tmp_path, make_corpus):
    """Give a corpus of a text and its twin, decomposed and with other spaces."""
    return make_corpus(tmp_path / "c", {"a.jsonl": [TEXT, TWIN, OTHER]})


@pytest.mark.parametrize("piece", [1 << 16, 40])
def test_twins_are_near_copies_and_what_is_written_is_as_it_came(
    tmp_path, twins, scan, monkeypatch, piece
):
    """Jaccard 1 with a normal form, none without; kept/ has the bytes of the corpus."""
    monkeypatch.setattr(signatures, "PIECE", piece)
    apart = scan(twins, tmp_path / "none")
    assert [row[0] for row in apart.rows("decisions", "action")] == ["keep"] * 3
    joined = scan(twins, tmp_path / "nfkc", "text.normalize=nfkc")
    assert joined.rows("pairs", "a", "b", "jaccard") == [(0, 1, 1.0)]
    assert joined.rows("documents", "exact_count") == [(1,)] * 3
    assert set(joined.table("kept")["text"].to_pylist()) == {TWIN, OTHER}
    assert joined.table("removed")["text"].to_pylist() == [TEXT]
    answer = lookup(joined.folder, TEXT.encode())
    assert (answer.exact_copies, answer.holders, answer.bytes) == (1, 2, len(TEXT.encode()))
    assert answer.nearest[0].jaccard == 1.0


def test_spans_of_normalized_words_are_cut_at_their_own_bytes(tmp_path, make_corpus, scan):
    """The repeated passage is cut out of the decomposed text, whole and nothing else."""
    twin = unicodedata.normalize("NFD", PASSAGE)
    texts = [f"first text {PASSAGE} goes on", f"\u200bAnother \u00adone: {twin}, and its \u00e9nd"]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    rules = ('policy.rules=["drop-copies", "cut-spans"]', "policy.cut_minimum=1")
    done = scan(corpus, tmp_path / "run", "text.normalize=nfc", "window.words=8", *rules)
    kept = done.table("kept")["text"].to_pylist()
    assert kept == [texts[0], "\u200bAnother \u00adone: , and its \u00e9nd"]


def test_the_report_counts_what_a_form_would_join(tmp_path, twins, scan):
    """Documents whose texts differ in form only are a note, of a run that does not join them."""
    done = scan(twins, tmp_path / "run")
    hashes = done.rows("signatures", "text_hash", "form_hash")
    assert [row[1] == hashes[0][1] for row in hashes] == [True, True, False]
    row = {"documents": 2, "texts": 2, "alike": 1}
    [note] = differing_in_form(row, "none")
    assert (note["level"], note["kind"], note["numbers"]) == ("note", "form", row)
    assert differing_in_form(row, "nfkc") == []
    assert differing_in_form({"documents": 0, "texts": 0, "alike": 0}, "none") == []


def test_a_form_redoes_the_sketch_and_none_is_the_default(tmp_path, twins, scan):
    """It is part of the fingerprint of the sketch."""
    done = scan(twins, tmp_path / "run", filtered=False)
    assert load_manifest(done.folder)["config"]["text"] == {"normalize": "none"}
    assert json.dumps(done.performed).count("sketch") == 1
    again = scan(twins, tmp_path / "run", "text.normalize=nfc", filtered=False)
    assert "sketch/g00000" in again.performed
