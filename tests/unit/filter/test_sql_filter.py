import pyarrow as pa
import pytest

from pipeline.engine import query
from schemas.filter.decisions import DECISIONS
from schemas.filter.documents import DOCUMENTS
from schemas.scan.contained import CONTAINED
from schemas.scan.counts import COUNTS
from schemas.scan.pairs import PAIRS

A = b"a" * 16


def test_reasons_counts_each_reason_and_what_is_kept(stored):
    """A null reason is `kept`; rows come by name of reason."""
    paths = stored(DECISIONS, reason=["near_copy", None, "exact_copy", None, "near_copy"])
    assert query.run("filter/reasons", {"decisions": paths}).to_pylist() == [
        {"reason": "exact_copy", "documents": 1},
        {"reason": "kept", "documents": 2},
        {"reason": "near_copy", "documents": 2},
    ]


def test_rows_of_texts_are_all_documents_of_a_listed_text(stored):
    """Each copy of a listed text with its place, in order of row_key; no other text."""
    paths = stored(
        COUNTS,
        row_key=[3, 1, 2],
        doc_id=["c", "a", "b"],
        shard=["y", "x", "x"],
        row=[0, 0, 1],
        text_hash=[A, A, b"b" * 16],
    )
    listed = pa.table({"text_hash": pa.array([A], pa.binary(16)), "named": [True]})
    found = query.run("filter/rows_of_texts", {"counts": paths, "listed": listed})
    assert found.to_pylist() == [
        {"row_key": 1, "doc_id": "a", "place": "x#0", "named": True},
        {"row_key": 3, "doc_id": "c", "place": "y#0", "named": True},
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
    found = query.run("filter/audits/keepers_are_kept", {"decisions": paths})
    assert found["row_key"].to_pylist() == orphans


PROOFS = {"top": 4, "bottom": 5, "most": 9, "whole": 10, "across": False}


@pytest.mark.parametrize(
    ("method", "keeper", "score", "unproved"),
    [
        # 1 and 2 are equal; 1 and 3 at 0.8, 1 and 4 below; 3 in 4 at 0.9, 3 in 5 below
        (["exact"], {2: 1}, 1.0, []),
        (["near"], {3: 1}, 0.8, []),
        (["near"], {1: 3, 2: 3}, 0.8, []),
        (["contained"], {3: 4}, 0.9, []),
        (["near"], {3: 1}, 0.81, [3]),
        (["near"], {3: 4}, 0.9, [3]),
        (["near"], {4: 1}, 0.7, [4]),
        (["near"], {2: 1}, 1.0, [2]),
        (["exact"], {3: 1}, 1.0, [3]),
        (["contained"], {4: 3}, 0.9, [4]),
        (["contained"], {3: 5}, 0.8, [3]),
        (["contained"], {3: 99}, 0.9, [3]),
        (["exact", "near"], {2: 1, 1: 3}, 0.8, [2]),
    ],
)
def test_removals_are_proved_lists_rows_without_proof(stored, method, keeper, score, unproved):
    """A row for each removal that is not in a table of proofs as it stands, at its threshold, or
    whose keeper goes itself.
    """
    keys = [1, 2, 3, 4, 5]
    methods = dict(zip(keeper, method * len(keeper), strict=False))
    documents = stored(
        DOCUMENTS,
        row_key=keys,
        representative=[1, 1, 3, 4, 5],
        split=[None] * 5,
        keeper=[keeper.get(key) for key in keys],
        method=[methods.get(key) for key in keys],
        score=[score if key in keeper else None for key in keys],
    )
    pairs = stored(PAIRS, a=[1, 1], b=[3, 4], inter=[8, 7], union=[10, 10], jaccard=[0.8, 0.7])
    contained = stored(
        CONTAINED,
        document=[3, 3],
        container=[4, 5],
        inter=[9, 8],
        size=[10, 10],
        containment=[0.9, 0.8],
    )
    inputs = {"documents": documents, "pairs": pairs, "contained": contained}
    found = query.run("filter/audits/removals_are_proved", inputs, PROOFS)
    assert found["row_key"].to_pylist() == unproved


def test_removals_are_proved_without_pairs(stored):
    """Empty tables of proofs are no error."""
    documents = stored(
        DOCUMENTS, row_key=[1, 2], representative=[1, 1], split=[None, None], keeper=[None, 1],
        method=[None, "exact"], score=[None, 1.0],
    )  # fmt: skip
    pairs = stored(PAIRS, a=[], b=[], inter=[], union=[], jaccard=[])
    contained = stored(CONTAINED, document=[], container=[], inter=[], size=[], containment=[])
    inputs = {"documents": documents, "pairs": pairs, "contained": contained}
    assert query.run("filter/audits/removals_are_proved", inputs, PROOFS).num_rows == 0


@pytest.mark.parametrize(("across", "unproved"), [(False, [2]), (True, [])])
def test_a_removal_in_favour_of_another_split_is_not_proved(stored, across, unproved):
    """Unless it is allowed: a copy in the training split is no reason to thin the test split."""
    documents = stored(
        DOCUMENTS, row_key=[1, 2, 3, 4], representative=[1, 1, 3, 3],
        split=["train", "test", "test", "test"], keeper=[None, 1, None, 3],
        method=[None, "exact"] * 2, score=[None, 1.0] * 2,
    )  # fmt: skip
    pairs = stored(PAIRS, a=[], b=[], inter=[], union=[], jaccard=[])
    contained = stored(CONTAINED, document=[], container=[], inter=[], size=[], containment=[])
    inputs = {"documents": documents, "pairs": pairs, "contained": contained}
    found = query.run("filter/audits/removals_are_proved", inputs, {**PROOFS, "across": across})
    assert found["row_key"].to_pylist() == unproved


def test_leakage_counts_documents_of_a_split_that_another_has(stored):
    """Exact before near, once a document; what is in no split does not count."""
    documents = stored(
        DOCUMENTS, row_key=[1, 2, 3, 4, 5, 6], representative=[1, 1, 3, 4, 5, 1],
        split=["train", "test", "test", "train", "test", None],
    )  # fmt: skip
    pairs = stored(
        PAIRS,
        a=[1, 1, 4],
        b=[3, 4, 5],
        inter=[8, 9, 7],
        union=[10, 10, 10],
        jaccard=[0.8, 0.9, 0.7],
    )
    inputs = {"documents": documents, "pairs": pairs}
    found = query.run("filter/leakage", inputs, {"top": 4, "bottom": 5})
    assert found.to_pylist() == [
        {"split": "test", "other_split": "train", "documents": 3, "exact": 1, "near": 1},
        {"split": "train", "other_split": "test", "documents": 2, "exact": 1, "near": 1},
    ]
