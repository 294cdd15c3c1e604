import pytest

from pipeline import query
from schemas.counts import COUNTS
from schemas.decisions import DECISIONS
from schemas.documents import DOCUMENTS, KEEPERS

A = b"a" * 16


def counts_of(keys):
    """Return columns of `counts` for documents of nothing particular."""
    count = len(keys)
    return {
        "row_key": keys,
        "doc_id": [f"d{key}" for key in keys],
        "shard": ["x"] * count,
        "row": keys,
        "source": [None] * count,
        "source_group": ["g"] * count,
        "priority": [None] * count,
        "text_bytes": [1] * count,
        "words": [1] * count,
        "text_hash": [A] * count,
        "representative": keys,
        "exact_count": [1] * count,
        "effective_count": [1.0] * count,
        "near_capped": [False] * count,
        "family": ["f"] * count,
        "max_window_count": [0] * count,
        "repeated_words": [0] * count,
    }


def test_documents_adds_the_keepers_name(stored):
    """All of counts comes through in order; the keeper's doc_id is looked up; null stays null."""
    counts = stored(COUNTS, **counts_of([1, 2, 3]))
    keepers = stored(
        KEEPERS,
        row_key=[3, 1, 2],
        near_count=[30, 10, 20],
        cluster=["c3", "c1", "c2"],
        keeper=[1, None, None],
        method=["near", None, None],
        jaccard=[0.9, None, None],
    )
    inputs = {"counts": counts, "keepers": keepers}
    found = query.run("documents", inputs, schema=DOCUMENTS)
    own = found.select(COUNTS.names).to_pydict()
    assert own == counts_of([1, 2, 3])
    added = [name for name in DOCUMENTS.names if name not in COUNTS.names]
    assert [tuple(row.values()) for row in found.select(added).to_pylist()] == [
        (10, "c1", None, None, None, None),
        (20, "c2", None, None, None, None),
        (30, "c3", 1, "d1", "near", 0.9),
    ]


def test_reasons_counts_each_reason_and_what_is_kept(stored):
    """A null reason is `kept`; rows come by name of reason."""
    paths = stored(DECISIONS, reason=["near_copy", None, "exact_copy", None, "near_copy"])
    assert query.run("reasons", {"decisions": paths}).to_pylist() == [
        {"reason": "exact_copy", "documents": 1},
        {"reason": "kept", "documents": 2},
        {"reason": "near_copy", "documents": 2},
    ]


@pytest.mark.parametrize(
    ("action", "keeper", "orphans"),
    [
        (["keep", "drop", "drop"], [None, 1, 1], []),
        (["keep", "drop", "drop"], [None, 1, 2], [3]),
        (["drop", "drop", "keep"], [None, 1, None], [2]),
        (["keep", "keep", "drop"], [None, None, 99], [3]),
        (["keep", "drop", "keep"], [None, None, None], []),
    ],
)
def test_keepers_are_kept_lists_rows_whose_keeper_went(stored, action, keeper, orphans):
    """No row when every keeper stays; a row for each keeper that is dropped or not there."""
    paths = stored(DECISIONS, row_key=[1, 2, 3], action=action, keeper=keeper)
    found = query.run("audits/keepers_are_kept", {"decisions": paths})
    assert found["row_key"].to_pylist() == orphans
