"""Apply the rules of a policy one after the other, as pure functions from tables to decisions.

`prepared` adds to each document what the policy says of its source; `decide` applies the rules. A
rule sees what the rules before it left, and the first removal wins. But a rule that removes a
keeper also removes the rows that have it as their keeper, so that every keeper named is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import polars as pl

from pipeline.config.policy import CUT_SPANS, MASK_PERSONAL, PolicyConfig
from pipeline.filter.rules import drop_copies, drop_personal, drop_risk, keep_n
from pipeline.filter.sources import SOURCES, require_known_sources
from pipeline.text.arrays import Float64, Uint64

Rule: TypeAlias = Callable[[pl.DataFrame, PolicyConfig], pl.DataFrame]
RULES: dict[str, Rule] = {
    drop_copies.NAME: drop_copies.drop_copies,
    keep_n.NAME: keep_n.keep_n,
    drop_risk.NAME: drop_risk.drop_risk,
    drop_personal.NAME: drop_personal.drop_personal,
}
FORGET, RESTORE = "forget", "restore"
Recount: TypeAlias = Callable[[Uint64], Float64]


def prepared(
    documents: pl.DataFrame, policy: PolicyConfig, restored: frozenset[int] = frozenset()
) -> pl.DataFrame:
    """Return the documents as the rules see them, with nothing decided yet.

    Added columns: one named after each rule, whether it may remove the row; `spared`, that none
    may; `restored`; `n` and `risk`, the thresholds of its source; and, still empty, `rule`,
    `reason`, `stands` (the keeper that stands for the row) and `risk_after`.

    Args:
        documents: row_key, keeper, method, source, source_group and what else a rule needs (rank,
            finds).
        policy: the settings.
        restored: keys of the rows that no rule may remove.

    Raises:
        ConfigError: When the policy names a source that no document has.
    """
    require_named(documents, policy)
    is_restored = pl.col("row_key").is_in(pl.Series(sorted(restored), dtype=pl.UInt64).implode())
    columns = {name: _of_rule(name, policy) for name in (*RULES, CUT_SPANS, MASK_PERSONAL)}
    columns |= {"n": _setting("keep", policy), "risk": _setting("risk", policy)}
    text = pl.lit(None, pl.String)
    return documents.with_columns(
        spared=_of_sources(policy.exempt) | is_restored,
        restored=is_restored,
        rule=text,
        reason=text,
        stands=pl.lit(None, pl.UInt64),
        risk_after=pl.lit(None, pl.Float64),
        **columns,
    )


def _of_sources(names: tuple[str, ...]) -> pl.Expr:
    """Return whether a row's source, its group or its split is among some names."""
    named = pl.lit(list(names), pl.List(pl.String))
    return pl.any_horizontal(
        pl.col(column).is_in(named).fill_null(value=False) for column in SOURCES
    )


def _setting(key: str, policy: PolicyConfig) -> pl.Expr:
    """Return a threshold of each row's source: by value before by group, then by split."""
    value = pl.lit(getattr(policy, key))
    for column in reversed(SOURCES):
        for name, own in policy.sources.items():
            if getattr(own, key) is not None:
                value = pl.when(pl.col(column) == name).then(getattr(own, key)).otherwise(value)
    return value


def _of_rule(rule: str, policy: PolicyConfig) -> pl.Expr:
    """Return whether a rule applies to the source of each row."""
    value = pl.lit(rule in policy.rules)
    for column in reversed(SOURCES):
        for name, own in policy.sources.items():
            if own.rules is not None:
                value = pl.when(pl.col(column) == name).then(rule in own.rules).otherwise(value)
    return value


def require_named(documents: pl.DataFrame, policy: PolicyConfig) -> None:
    """Refuse a policy that names a source that no document has.

    Raises:
        ConfigError: When `policy.exempt` or `policy.sources` names one.
    """
    require_known_sources(documents, policy.exempt, "policy.exempt")
    require_known_sources(documents, tuple(policy.sources), "policy.sources")


def decide(
    frame: pl.DataFrame,
    policy: PolicyConfig,
    recount: Recount,
    forgotten: Uint64 | None = None,
    kept_out: Sequence[tuple[str, pl.DataFrame]] = (),
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the name of each rule that removes rows, and the documents after it.

    Args:
        frame: the documents, as `prepared` returns them.
        policy: the rules and their order.
        recount: returns the risk of each document, NaN for none, in the corpus without some rows.
        forgotten: keys of the rows to forget; they are removed before any rule.
        kept_out: rules that are found out before, each with its removals; they come next.
    """
    state = frame
    if forgotten is not None and forgotten.size:
        state = taken(state, _forget(forgotten))
        yield FORGET, state
    for name, removals in kept_out:
        free = state.filter(~pl.col("spared"), pl.col("rule").is_null())["row_key"]
        state = taken(state, removals.filter(pl.col("row_key").is_in(free.implode())))
        yield name, state
    for name in policy.rules:
        if name in RULES:
            if name == drop_risk.NAME:
                state = state.with_columns(
                    risk_after=pl.Series(recount(gone(state)), nan_to_null=True)
                )
            state = taken(state, RULES[name](state, policy))
            yield name, state


def gone(state: pl.DataFrame) -> Uint64:
    """Return the keys of the rows that a rule has removed or cut, sorted."""
    return np.sort(state.filter(pl.col("rule").is_not_null())["row_key"].to_numpy())


def _forget(rows: Uint64) -> pl.DataFrame:
    """Return the removals of rows to forget, as a rule returns its own."""
    return pl.DataFrame({"row_key": rows}, schema={"row_key": pl.UInt64}).select(
        "row_key",
        pl.lit(FORGET).alias("rule"),
        pl.lit("forgotten").alias("reason"),
        pl.lit(None, pl.UInt64).alias("keeper"),
    )


def taken(state: pl.DataFrame, removals: pl.DataFrame) -> pl.DataFrame:
    """Return the documents after the removals of a rule.

    A row that was removed before keeps its rule and reason, unless the keeper that stood for it is
    removed now: then it gets those of this rule.

    Args:
        state: the documents before.
        removals: row_key, rule, reason and keeper of the rows that the rule removes.
    """
    new = removals.select(
        "row_key",
        pl.col("rule").alias("new_rule"),
        pl.col("reason").alias("new_reason"),
        pl.col("keeper").alias("new_stands"),
    )
    without_keeper = new.filter(pl.col("new_stands").is_null())["row_key"]
    joined = state.join(new, on="row_key", how="left", maintain_order="left")
    changed = pl.col("new_rule").is_not_null() & (
        pl.col("rule").is_null() | pl.col("stands").is_in(without_keeper.implode())
    )
    return joined.with_columns(
        pl.when(changed).then(pl.col(f"new_{name}")).otherwise(pl.col(name)).alias(name)
        for name in ("rule", "reason", "stands")
    ).drop("new_rule", "new_reason", "new_stands")
