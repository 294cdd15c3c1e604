"""The queries behind policies: rows in, literal rows out."""

from typing import Any

import pyarrow as pa
import pytest

from pipeline.engine import query
from schemas.filter.decisions import DECISIONS
from schemas.filter.documents import DOCUMENTS
from schemas.scan.counts import COUNTS
from schemas.scan.pairs import PAIRS

HASHES = [bytes([n]) * 16 for n in range(7)]


def keys(table):
    """Return the row_keys of a result."""
    return table["row_key"].to_pylist()


@pytest.fixture
def documents(stored):
    """Give six documents: 1 and 2 equal, 3 near 1, 4 near 3 only and going to it, 5 inside 1."""
    return stored(
        DOCUMENTS,
        row_key=[1, 2, 3, 4, 5, 6],
        representative=[1, 1, 3, 4, 5, 6],
        text_hash=[HASHES[n] for n in (1, 1, 3, 4, 5, 6)],
        keeper=[None, 1, None, 3, 1, None],
    )


@pytest.fixture
def pairs(stored):
    """Give the pairs 1-3 and 3-4 at 0.8, 1-6 below it."""
    return stored(
        PAIRS,
        a=[1, 3, 1],
        b=[3, 4, 6],
        inter=[8, 8, 7],
        union=[10, 10, 10],
        size_a=[9, 9, 9],
        size_b=[9, 9, 8],
    )


@pytest.mark.parametrize(
    ("listed", "near", "gone"),
    [
        # the text, its copy, its near copy, and all rows that have one of these as keeper
        ([1], [3], [1, 2, 3, 4, 5]),
        ([1], [], [1, 2, 5]),
        ([4], [3], [3, 4]),
        ([], [2], [1, 2, 5]),
        ([6], [], [6]),
        ([0], [], []),
    ],
)
def test_forgotten_rows_are_the_text_its_copies_and_who_names_them(documents, listed, near, gone):
    """A listed text goes with its exact copies, and so does a near copy."""
    table = pa.table({"text_hash": pa.array([HASHES[n] for n in listed], pa.binary(16))})
    close = pa.table({"row_key": pa.array(near, pa.uint64())})
    inputs = {"documents": documents, "listed": table, "near": close}
    assert keys(query.run("filter/forgotten", inputs)) == gone


def test_rows_are_found_by_id_and_by_place(stored):
    """An id may be of several rows; shard#row is of one."""
    counts = stored(
        COUNTS,
        row_key=[1, 2, 3],
        doc_id=["a", "a", "b"],
        shard=["x", "x", "y/z"],
        row=[0, 1, 7],
        text_hash=HASHES[:3],
    )
    names = ["a", "y/z#7", "nobody", "id:y/z#7"]
    ids = pa.array([*names[:3], "y/z#7"], pa.string())
    places = pa.array([*names[:3], None], pa.string())
    wanted = pa.table({"name": names, "id": ids, "place": places})
    found = query.run("filter/named_rows", {"counts": counts, "wanted": wanted})
    assert list(zip(found["name"].to_pylist(), keys(found), strict=True)) == [
        ("a", 1),
        ("a", 2),
        ("y/z#7", 3),
    ]


def test_effective_counts_are_of_what_stays(documents, pairs):
    """Without row 2, text 1 counts itself and its near texts by weight; a text that went counts
    its neighbours only.
    """
    wanted = pa.table({"representative": pa.array([1, 4, 6], pa.uint64())})
    found = query.run(
        "filter/effective_after",
        {
            "copies": documents,
            "pairs": pairs,
            "gone": pa.table({"row_key": pa.array([2, 4], pa.uint64())}),
            "wanted": wanted,
        },
    )
    rho = {
        share: 2.718281828 ** (-0.113 - 3.5 * (1 - share**0.2)) for share in (8 / 9, 7 / 9, 7 / 8)
    }
    assert found["representative"].to_pylist() == [1, 4, 6]
    assert found["exact_count"].to_pylist() == [1, 0, 1]
    expected = [1 + rho[8 / 9] + rho[7 / 9], rho[8 / 9], 1 + rho[7 / 8]]
    assert found["effective_count"].to_pylist() == pytest.approx(expected, abs=1e-5)


GOOD: dict[str, list[Any]] = {
    "row_key": [1, 2, 3, 4, 5, 6],
    "action": ["keep", "drop", "cut", "drop", "drop", "drop"],
    "rule": [None, "drop-copies", "cut-spans", "drop-copies", "drop-copies", "drop-risk"],
    "reason": [None, "exact_copy", "repeated", "near_copy", "contained", "risk"],
    "keeper": [None, 1, None, 3, 1, None],
}


@pytest.mark.parametrize(
    ("column", "place", "value", "found"),
    [
        ("action", 0, "keep", []),
        ("rule", 1, None, [2]),
        ("reason", 2, None, [3]),
        ("keeper", 1, 3, [2]),
        ("keeper", 1, None, [2]),
        ("keeper", 0, 1, [1]),
        ("row_key", 5, 7, [6, 7]),
        ("reason", 5, "near_copy", [6]),
    ],
)
def test_every_removal_has_its_keeper_or_a_reason_without(
    stored, documents, column, place, value, found
):
    """No rule, no reason, another keeper than the proved one or none, a lost row: each is found."""
    values = {name: list(own) for name, own in GOOD.items()}
    values[column][place] = value
    decisions = stored(DECISIONS, **values)
    inputs = {"decisions": decisions, "documents": documents}
    assert keys(query.run("filter/audits/removals_are_explained", inputs)) == found


def test_spared_rows_that_go_are_found(stored):
    """Dropped or cut; what is forgotten goes all the same."""
    decisions = stored(DECISIONS, **{name: GOOD[name] for name in ("row_key", "action", "rule")})
    for spared, found in (([1], []), ([2, 3], [2, 3])):
        table = pa.table({"row_key": pa.array(spared, pa.uint64())})
        inputs = {"decisions": decisions, "spared": table}
        assert keys(query.run("filter/audits/spared_rows_stay", inputs)) == found
    decisions = stored(DECISIONS, row_key=[1], action=["drop"], rule=["forget"])
    table = pa.table({"row_key": pa.array([1], pa.uint64())})
    inputs = {"decisions": decisions, "spared": table}
    assert keys(query.run("filter/audits/spared_rows_stay", inputs)) == []


def test_forgotten_rows_that_stay_are_found(stored):
    """Kept, cut or without a decision."""
    decisions = stored(DECISIONS, row_key=[1, 2, 3], action=["keep", "drop", "cut"])
    table = pa.table({"row_key": pa.array([1, 2, 3, 9], pa.uint64())})
    inputs = {"decisions": decisions, "forgotten": table}
    assert keys(query.run("filter/audits/forgotten_rows_go", inputs)) == [1, 3, 9]
