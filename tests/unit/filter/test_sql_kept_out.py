"""The queries behind --decontaminate and --minus: rows in, literal rows out."""

import pyarrow as pa

from pipeline.engine import query
from schemas.filter.contaminated import CONTAMINATED
from schemas.filter.decisions import DECISIONS
from schemas.filter.held import HELD
from schemas.scan.counts import COUNTS
from schemas.scan.signatures import SIGNATURES

SPARED = pa.table({"row_key": pa.array([5], pa.uint64())})
NEAR = {"near_t": 8, "near_b": 10, "inside_t": 9, "inside_b": 10}


def keys(name, inputs, params):
    """Return the row_keys that an audit finds."""
    return query.run(name, inputs, params)["row_key"].to_pylist()


def decided(stored, reason):
    """Give rows 1 and 2 that go for a reason, 3 to 5 that stay."""
    return stored(
        DECISIONS,
        row_key=[1, 2, 3, 4, 5],
        action=["drop", "drop", "keep", "keep", "keep"],
        rule=["x", "x", None, None, None],
        reason=[reason, reason, None, None, None],
    )


def test_items_are_kept_out_finds_both_kinds_of_breach(stored):
    """A row that goes without its item (2) and one that stays with it (4); 5 is spared."""
    held = stored(
        CONTAMINATED,
        row_key=[1, 4, 5],
        rule=["whole"] * 3,
        item_words=[9] * 3,
        matched_words=[9] * 3,
        longest_run=[9] * 3,
        shared=[1] * 3,
        either=[1] * 3,
        shingles=[1] * 3,
        action=["drop"] * 3,
    )
    inputs = {"decisions": decided(stored, "contaminated"), "contaminated": held, "spared": SPARED}
    params = {"words": 13, "cover_t": 1, "cover_b": 2, **NEAR}
    assert keys("filter/audits/items_are_kept_out", inputs, params) == [2, 4]


def test_held_rows_go_finds_both_kinds_of_breach(stored):
    """A row that goes below the threshold (2) and one that stays (4); 5 is spared."""
    held = stored(
        HELD,
        row_key=[1, 2, 4, 5],
        method=["exact", "near", "near", "contained"],
        shared=[None, 7, 8, 9],
        total=[None, 10, 10, 10],
        score=[1.0, 0.7, 0.8, 0.9],
    )
    inputs = {"decisions": decided(stored, "held"), "held": held, "spared": SPARED}
    assert keys("filter/audits/held_rows_go", inputs, NEAR) == [2, 4]


def test_held_exact_names_the_first_row_of_the_other_run(stored):
    """Each text once, with its smallest row there; what only one has is left out."""
    one, two = b"1" * 16, b"2" * 16
    ours = stored(COUNTS, representative=[1, 1, 3], text_hash=[one, one, two])
    theirs = stored(SIGNATURES, row_key=[9, 7, 8], text_hash=[one, one, b"3" * 16])
    found = query.run("filter/held_exact", {"counts": ours, "signatures": theirs})
    assert found.to_pydict() == {"representative": [1], "their_row_key": [7]}
