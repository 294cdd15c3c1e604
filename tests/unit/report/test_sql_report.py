"""Rows in, literal rows out, for the queries of the report and of explanations."""

import pyarrow as pa

from pipeline.engine import query
from schemas.filter.decisions import DECISIONS
from schemas.filter.documents import DOCUMENTS
from schemas.scan.counts import COUNTS
from schemas.scan.spans import SPANS
from schemas.scan.windows import WINDOWS
from schemas.score.risk import DOCUMENT_RISK


def _inputs(stored):
    """Return a keeper, its removed copy, and three rows that share a passage; one is dropped."""
    keys = [1, 2, 3, 4, 5]
    documents = stored(
        DOCUMENTS,
        row_key=keys,
        shard=["a", "a", "z", "b", "z"],  # the order of the shards is not that of their numbers
        row=keys,
        source_group=["s", "s", "t", "t", "t"],
        keeper=[None, 1, None, None, None],
        method=[None, "near", None, None, None],
        text_bytes=[100, 90, 50, 60, 70],
        words=[20, 18, 10, 12, 14],
        repeated_words=[0, 0, 6, 4, 6],
    )
    decisions = stored(
        DECISIONS,
        row_key=keys,
        action=["keep", "drop", "keep", "keep", "drop"],
        reason=[None, "near_copy", None, None, "risk"],
    )
    spans = stored(
        SPANS,
        row_key=[3, 4, 5],
        start_byte=[0, 5, 0],
        end_byte=[9, 14, 9],
        words=[6, 7, 6],
        max_count=[3, 3, 3],
        documents=[3, 3, 3],
        window=[9, 9, 9],
    )
    return {"documents": documents, "decisions": decisions, "spans": spans}


def keys_of(*keys):
    """Return the row keys of documents that are shown apart."""
    return pa.table({"row_key": pa.array(keys, pa.uint64())})


def test_sources_that_are_shown_apart_are_told_by_source(stored):
    """Their documents by key; by source how many there are, how alike, and how many stay."""
    documents = stored(
        DOCUMENTS, row_key=[1, 2, 3], source=["p/1", "p/2", "x"], source_group=["p", "p", "x"],
        text_hash=[bytes(16)] * 3, exact_count=[4, 2, 9], near_count=[5, 2, 9],
        max_window_count=[6, 0, 9], words=[10, 20, 40], repeated_words=[10, 2, 9],
    )  # fmt: skip
    decisions = stored(DECISIONS, row_key=[1, 2, 3], action=["keep", "drop", "keep"])
    groups = {"groups": ["p", "q"]}
    keys = query.run("report/apart_rows", {"documents": documents}, groups)
    assert keys["row_key"].to_pylist() == [1, 2]
    both = {"documents": documents, "decisions": decisions}
    words = query.run("report/apart_words", {"documents": documents}, groups).to_pylist()
    assert words == [{"words": 30, "repeated_words": 12}]
    found = query.run("report/apart", both, {**groups, "top": 9}).to_pylist()
    assert [tuple(row.values()) for row in found] == [
        ("p/1", 1, 1, 4, 5, 6, 1),
        ("p/2", 1, 1, 2, 2, 0, 0),
    ]


def test_report_first_counts_what_says_again_what_stays(stored):
    """Copies count whole; of a passage all kept occurrences but the first, and no more than is
    repeated of a document.
    """
    found = query.run("report/first", _inputs(stored), {"top": 9}).to_pylist()
    told = [(row["source_group"], row["kind"], row["done"], row["documents"]) for row in found]
    assert told == [
        ("s", "near", True, 1),
        ("t", "risk", True, 1),
        ("t", "passage", False, 1),
    ]
    assert [(row["words"], row["text_bytes"]) for row in found] == [(18, 90), (14, 70), (6, 50)]


def test_report_first_takes_what_goes_for_another_reason_for_no_copy(stored):
    """Copies that go as forgotten or personal, and one whose keeper does, repeat nothing."""
    keys = [1, 2, 3, 4, 5, 6]
    inputs = {
        "documents": stored(
            DOCUMENTS,
            row_key=keys,
            shard=["a"] * 6,
            row=keys,
            source_group=["s"] * 6,
            keeper=[None, 1, 1, None, 4, 4],
            method=[None, "exact", "near", None, "exact", "near"],
            text_bytes=[10] * 6,
            words=[5] * 6,
            repeated_words=[0] * 6,
        ),
        "decisions": stored(
            DECISIONS,
            row_key=keys,
            action=["drop", "drop", "keep", "keep", "drop", "drop"],
            reason=["forgotten", "forgotten", None, None, "exact_copy", "personal"],
        ),
    }
    spans = _inputs(stored)["spans"]
    found = query.run("report/first", {**inputs, "spans": spans}, {"top": 9}).to_pylist()
    told = [(row["kind"], row["done"], row["documents"], row["words"]) for row in found]
    assert told == [("exact", True, 1, 5), ("passage", False, 1, 0)]
    risk = {
        "document_risk": stored(
            DOCUMENT_RISK, row_key=[2, 5, 6], risk=[0.1] * 3, expected_tokens=[3.0, 2.0, 1.0]
        )
    }
    told = query.run("report/first_risk", {**inputs, **risk}, {"likely": 0.5}).to_pylist()
    assert [row["kind"] for row in told] == ["forgotten", "exact", "personal"]


def test_report_spans_are_those_with_most_to_cut(stored):
    """Two occurrences stay, so one can go: the passage in its shortest form."""
    inputs = _inputs(stored)
    inputs = {k: inputs[k] for k in ("spans", "decisions")}
    found = query.run("report/spans", {**inputs, "apart": keys_of()}, {"top": 9})
    without = query.run("report/spans", {**inputs, "apart": keys_of(3, 4, 5)}, {"top": 9})
    assert without.num_rows == 0
    assert found.to_pylist() == [
        {
            "row_key": 3,
            "start_byte": 0,
            "end_byte": 9,
            "words": 6,
            "occurrences": 3,
            "documents": 3,
            "kept_occurrences": 2,
            "words_to_cut": 6,
        }
    ]


def test_report_first_risk_tells_apart_by_kind(stored):
    """A copy is of its kind; what repeats nothing is `risk` from the limit on, else `none`."""
    inputs = _inputs(stored)
    risk = stored(
        DOCUMENT_RISK,
        row_key=[1, 2, 3, 4],
        risk=[0.5, 0.9, 0.1, None],
        expected_tokens=[16.0, 28.5, 3.2, None],
    )
    inputs = {"documents": inputs["documents"], "decisions": inputs["decisions"]}
    found = query.run("report/first_risk", {**inputs, "document_risk": risk}, {"likely": 0.5})
    told = [
        (row["source_group"], row["kind"], row["done"], row["risky"], row["expected_tokens"])
        for row in found.to_pylist()
    ]
    assert told == [
        ("s", "near", True, 1, 28),
        ("s", "risk", False, 1, 16),
        ("t", "none", False, 0, 3),
    ]


def test_explain_elsewhere_names_a_few_and_counts_all(stored):
    """Each document once, in order, the one asked for left out."""
    spans = stored(SPANS, row_key=[1, 2, 2, 3, 4], window=[9, 9, 9, 9, 8])
    counts = stored(
        COUNTS, row_key=[1, 2, 3, 4], doc_id=["a", "b", "c", "d"], shard=["s"] * 4, row=[0, 1, 2, 3]
    )
    params = {"windows": [9], "row_key": 1, "each": 1}
    found = query.run("explain/elsewhere", {"spans": spans, "counts": counts}, params).to_pylist()
    assert [(row["doc_id"], row["shard_row"], row["documents"]) for row in found] == [("b", 1, 2)]


def test_report_canaries_are_told_by_an_id_that_begins_with_the_hash_of_the_text(stored):
    """Two rows of one canary; another text under such an id, or an id without a turn, is none."""
    hashes = [bytes(range(16)), bytes(range(16)), bytes(range(16, 32)), bytes(range(16))]
    name = "canary-0001020304050607"
    ids = [f"{name}-0", f"{name}-31", f"{name}-1", name]
    documents = stored(DOCUMENTS, doc_id=ids, text_hash=hashes)
    found = query.run("report/canaries", {"documents": documents}, {"named": "canary-"})
    assert found.to_pylist() == [{"documents": 2, "texts": 1}]
    none = query.run("report/canaries", {"documents": documents}, {"named": "other-"})
    assert none.to_pylist() == [{"documents": 0, "texts": 0}]


def test_short_near_copies_are_given_with_the_row_that_stays(stored):
    """Those that went, by row, and no longer than asked."""
    inputs = {name: _inputs(stored)[name] for name in ("documents", "decisions")}
    found = query.run("report/near_removed", inputs, {"words": 18, "top": 9})
    assert found.to_pylist() == [{"row_key": 2, "keeper": 1}]
    assert query.run("report/near_removed", inputs, {"words": 17, "top": 9}).num_rows == 0


def test_windows_are_told_from_their_places(stored):
    """Of those that occur so often, as many are different as they have places over occurrences."""
    windows = stored(
        WINDOWS, row_key=[1, 1, 2, 2], first_word=[0, 9, 0, 9], windows=[4, 6, 4, 6],
        occurrences=[2, 3, 2, 3], documents=[2, 2, 2, 1],
    )  # fmt: skip
    found = query.run("report/windows", {"windows": windows}).to_pylist()
    told = {"repeated_windows": 8, "occurrences": 20, "largest": 3, "across_documents": 6}
    assert found == [told]
    empty = stored(WINDOWS, windows=[], occurrences=[], documents=[])
    none = query.run("report/windows", {"windows": empty}).to_pylist()
    assert none == [dict.fromkeys(told, 0)]
