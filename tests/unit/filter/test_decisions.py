"""Rules in order: what each takes, what is spared, what stays of a keeper's rows."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.sections import Config, PolicyConfig
from pipeline.engine.stage import Work
from pipeline.engine.tables import write_table
from pipeline.errors import ConfigError, IntegrityError
from pipeline.filter import decisions
from pipeline.filter.rules import rules
from schemas.filter.documents import DOCUMENTS

SCHEMA = {"row_key": pl.UInt64, "keeper": pl.UInt64, "method": pl.String, "source": pl.String}
ROWS = [(1, None, None, "a"), (2, 1, "exact", "a"), (2**63, 1, "near", "b")]
FIVE = [
    (1, None, None, "a"),
    (2, 1, "exact", "a"),
    (3, 1, "exact", "b"),
    (4, 1, "near", "b"),
    (5, None, None, "b"),
]


def documents(rows=ROWS, rank=None):
    """Return rows of `documents` as the rules see them; rank: by row unless given."""
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    own = list(range(frame.height)) if rank is None else rank
    return frame.with_columns(
        source_group=pl.lit("all"),
        split=pl.lit(None, pl.String),
        rank=pl.Series(own, dtype=pl.Int64),
        text_bytes=pl.lit(10),
    )


def decided(rows, policy, risk=None, *, restored=(), forgotten=(), rank=None):
    """Return {row_key: (rule, reason, keeper)} of what goes; risk: by row, as recounted."""
    asked = []

    def recount(gone):
        asked.append(gone.tolist())
        return np.array([np.nan if r is None else r for r in risk], np.float64)

    frame = rules.prepared(documents(rows, rank), policy, frozenset(restored))
    steps = rules.decide(frame, policy, recount, np.array(forgotten, np.uint64))
    state = [frame, *(after for _, after in steps)][-1]
    assert state["row_key"].to_list() == [row[0] for row in rows]
    gone = state.filter(pl.col("rule").is_not_null()).select("row_key", "rule", "reason", "stands")
    return {row[0]: row[1:] for row in gone.rows()}, asked


def test_documents_with_a_keeper_are_dropped_with_their_reason():
    """Exact and near copies go for their own reasons; the rest stays without one."""
    found, _ = decided(ROWS, PolicyConfig())
    assert found == {
        2: ("drop-copies", "exact_copy", 1),
        2**63: ("drop-copies", "near_copy", 1),
    }


def test_no_rules_keep_everything():
    """An empty policy takes nothing."""
    assert decided(ROWS, PolicyConfig(rules=())) == ({}, [])


def test_the_first_removal_wins():
    """A row that two rules would remove has the reason of the first; the other takes the rest."""
    both = PolicyConfig(rules=("keep-n", "drop-copies"), keep=3)
    found, _ = decided(FIVE, both)
    assert [found[key][0] for key in (2, 3, 4)] == ["drop-copies", "drop-copies", "keep-n"]


def test_keep_n_retains_the_first_of_those_that_name_a_keeper():
    """With keep = 2 the keeper and the best-ranked of its rows stay; with 1 it is drop-copies."""
    found, _ = decided(FIVE, PolicyConfig(rules=("keep-n",), keep=2))
    assert sorted(found) == [3, 4]
    found, _ = decided(FIVE, PolicyConfig(rules=("keep-n",), keep=2), rank=[0, 4, 3, 1, 2])
    assert sorted(found) == [2, 3]
    found, _ = decided(FIVE, PolicyConfig(rules=("keep-n",), keep=1))
    assert sorted(found) == [2, 3, 4]
    assert decided(FIVE, PolicyConfig(rules=("keep-n",), keep=4))[0] == {}


def test_risk_is_recounted_over_what_the_rules_before_leave():
    """drop-risk asks once, without the rows that went before it."""
    policy = PolicyConfig(rules=("drop-copies", "drop-risk"), risk=0.5)
    found, asked = decided(FIVE, policy, risk=[0.4, 0.9, None, None, 0.5])
    assert asked == [[2, 3, 4]]
    assert found[5] == ("drop-risk", "risk", None)
    assert found[2][0] == "drop-copies"  # 0.9, but it went before


def test_a_risk_rule_takes_a_keeper_with_all_rows_that_name_it():
    """Nobody's keeper is gone: rows that went for it, and those retained, go with it."""
    policy = PolicyConfig(rules=("keep-n", "drop-risk"), keep=2, risk=0.5)
    found, _ = decided(FIVE, policy, risk=[0.9, 0.1, None, None, None])
    assert found == dict.fromkeys((1, 2, 3, 4), ("drop-risk", "risk", None))


def test_a_keeper_stays_while_a_row_that_names_it_may_not_go():
    """An exempt row, a restored one, or one whose source has no such rule holds its keeper."""
    risk = [0.9, 0.1, None, None, 0.8]
    policy = PolicyConfig(rules=("drop-copies", "drop-risk"), risk=0.5)
    for own in (
        {"exempt": ("b",)},
        {"sources": {"b": {"rules": ("drop-copies",)}}},
    ):
        held = PolicyConfig(**{**policy.model_dump(exclude={"exempt", "sources"}), **own})
        found, _ = decided(FIVE, held, risk=risk)
        assert 1 not in found
        assert found[2] == ("drop-copies", "exact_copy", 1)
    found, _ = decided(FIVE, policy, risk=risk, restored=[4])
    assert sorted(found) == [2, 3, 5]


def test_the_riskiest_share_goes():
    """Half of four documents with a forecast: two; of equal ones the better rank first."""
    policy = PolicyConfig(rules=("drop-risk",), risk_share=0.5)
    rows = [(key, None, None, "a") for key in range(5)]
    found, _ = decided(rows, policy, risk=[0.5, 0.7, 0.7, 0.7, None], rank=[0, 3, 1, 2, 4])
    assert sorted(found) == [2, 3]


def test_without_a_forecast_nothing_is_risky():
    """Null risk is never above a threshold, nor in a share."""
    policy = PolicyConfig(rules=("drop-risk",), risk=0.01, risk_share=1.0)
    assert decided(FIVE, policy, risk=[None] * 5)[0] == {}


def test_thresholds_are_of_a_rows_own_source():
    """A source's own keep and risk stand in place of the policy's."""
    policy = PolicyConfig(rules=("keep-n",), keep=4, sources={"b": {"keep": 1}})
    assert sorted(decided(FIVE, policy)[0]) == [3, 4]
    policy = PolicyConfig(rules=("drop-risk",), sources={"b": {"risk": 0.3}})
    assert sorted(decided(FIVE, policy, risk=[0.9, 0.9, 0.2, 0.9, 0.4])[0]) == [4, 5]


def test_exempt_sources_lose_nothing():
    """Neither by value nor by group."""
    assert sorted(decided(FIVE, PolicyConfig(exempt=("b",)))[0]) == [2]
    assert decided(FIVE, PolicyConfig(exempt=("all",)))[0] == {}


@pytest.mark.parametrize("policy", [{"exempt": ("c",)}, {"sources": {"c": {"keep": 1}}}])
def test_a_source_that_does_not_occur_is_refused(policy):
    """Else its rows would silently not be spared."""
    with pytest.raises(ConfigError, match="does not occur") as refused:
        decided(FIVE, PolicyConfig(**policy))
    assert "'c'" in refused.value.found


def test_restored_rows_stay_and_forgotten_rows_go_first():
    """`restore` spares a row from every rule; `forget` takes even an exempt or restored one."""
    found, _ = decided(FIVE, PolicyConfig(), restored=[3])
    assert sorted(found) == [2, 4]
    found, _ = decided(FIVE, PolicyConfig(exempt=("b",)), restored=[5], forgotten=[5, 3])
    assert found == {
        2: ("drop-copies", "exact_copy", 1),
        3: ("forget", "forgotten", None),
        5: ("forget", "forgotten", None),
    }


@pytest.mark.parametrize(
    "values",
    [
        {"rules": ("cut-spans", "drop-copies")},
        {"rules": ("drop-copies", "drop-copies")},
        {"rules": ("drop-risk",)},
        {"rules": ("drop-copies",), "sources": {"a": {"rules": ("drop-risk",)}}},
    ],
)
def test_policies_that_make_no_sense_are_refused(values):
    """cut-spans comes last, no rule twice, a source's rules are among the policy's."""
    with pytest.raises(ValueError, match="policy"):
        PolicyConfig(**values)


POLICIES: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    rules=st.lists(st.sampled_from(["drop-copies", "keep-n", "drop-risk"]), unique=True),
    keep=st.integers(1, 3),
    risk=st.sampled_from([0.0, 0.2, 0.6]),
    risk_share=st.sampled_from([0.0, 0.3]),
    exempt=st.sampled_from([(), ("a",)]),
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_policy_keeps_every_keeper_and_spares_who_is_spared(data):
    """Over random corpora and policies: one decision a row, keepers stay, exempt rows stay."""
    size = data.draw(st.integers(1, 12))
    keepers = [None] + [data.draw(st.sampled_from([None, 0])) for _ in range(size - 1)]
    for place in range(1, size):
        heads = [k for k in range(place) if keepers[k] is None]
        keepers[place] = None if keepers[place] is None else data.draw(st.sampled_from(heads))
    rows = [
        (
            key,
            keeper,
            None if keeper is None else "near",
            "a" if key == 0 else data.draw(st.sampled_from("ab")),
        )
        for key, keeper in enumerate(keepers)
    ]
    risk = data.draw(st.lists(st.sampled_from([None, 0.1, 0.5, 0.9]), min_size=size, max_size=size))
    policy = PolicyConfig.model_construct(**{**dict(PolicyConfig()), **data.draw(POLICIES)})
    found, _ = decided(rows, policy, risk=risk)
    for _, reason, keeper in found.values():
        assert (reason == "risk") == (keeper is None)
        assert keeper not in found
    if policy.exempt:
        assert not [key for key in found if rows[key][3] == "a"]


def stored_work(folder, rows):
    """Write `documents` of nothing particular and return the unit of work over them."""
    names = {"row_key", "keeper", "keeper_doc_id", "method", "jaccard"}
    count = len(rows)
    filler = {"uint64": 0, "string": "", "int64": 1, "double": 1.0, "bool": False}
    columns = {
        field.name: [filler.get(str(field.type), b"0" * 16)] * count
        for field in DOCUMENTS
        if field.name not in names
    }
    columns |= {
        "row_key": [r[0] for r in rows],
        "keeper": [r[1] for r in rows],
        "keeper_doc_id": [None] * count,
        "method": [r[2] for r in rows],
        "jaccard": [None] * count,
        "source": [None] * count,
    }
    with write_table(folder, "documents", "all", DOCUMENTS) as out:
        out.write(pl.DataFrame(columns).to_arrow())
    tables: dict[str, tuple[str, ...]] = {"documents": (out.record.path,)}
    return Work("decisions", "all", folder, Config(), (), tables)


def test_the_stage_counts_its_reasons(tmp_path):
    """The receipt tells how many rows go for which reason, and rows in are rows out."""
    receipt = decisions.decisions(stored_work(tmp_path, ROWS))
    assert (receipt.rows_in, receipt.rows_out) == (3, 3)
    assert receipt.facts == {
        "groups": {},
        "reasons": {"exact_copy": 1, "kept": 1, "near_copy": 1},
        "rules": [{"rule": "drop-copies", "rows": 2, "bytes": 2}],
    }


def test_a_keeper_that_goes_itself_stops_the_stage(tmp_path):
    """A removal whose keeper is removed too is never written out."""
    with pytest.raises(IntegrityError, match="names a keeper that is not kept") as stopped:
        decisions.decisions(
            stored_work(tmp_path, [(1, None, None), (2, 1, "near"), (3, 2, "near")])
        )
    assert stopped.value.found == "1 rows"
