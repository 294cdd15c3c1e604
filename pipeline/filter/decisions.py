"""Decide what happens to each document: rules in the order of the settings, the first removal wins.

Rows to forget are removed before the rules, and cuts are made in what the rules leave. Audits then
show that every removal has its keeper, or a reason that needs none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from pipeline.config.policy import CUT_SPANS, DROP_PERSONAL, MASK_PERSONAL, MASKS, PolicyConfig
from pipeline.config.sections import Config
from pipeline.engine.forgotten import forgotten_texts
from pipeline.engine.group_digests import GROUPS, group_digests
from pipeline.engine.query import limits, run
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import ROWS_OF_SHARDS, read_table, write_table
from pipeline.errors import ConfigError, IntegrityError
from pipeline.filter.documents import RANKED_BY, ranks
from pipeline.filter.forgotten import forgotten_rows, sharing_a_window
from pipeline.filter.former import with_stayed
from pipeline.filter.kept_out import removals
from pipeline.filter.mitigations.sink_ids import changed_sinks, sink_ids
from pipeline.filter.mitigations.weights import weights
from pipeline.filter.overrides import RESTORED
from pipeline.filter.proofs import reaching
from pipeline.filter.rules import decontaminate, drop_risk, keep_n
from pipeline.filter.rules.cuts import Cut, cuts
from pipeline.filter.rules.decontaminate import (
    CUT_REASON,
    cuts_items,
    item_cuts,
    with_item_cuts,
)
from pipeline.filter.rules.mask_personal import (
    REASON as MASKED,
)
from pipeline.filter.rules.mask_personal import (
    masks_personal,
    personal_masks,
    with_masks,
)
from pipeline.filter.rules.rules import RESTORE, decide, gone, prepared, require_named
from pipeline.filter.sources import SOURCES
from pipeline.filter.tally import CUT_REASONS, RuleTally
from pipeline.scan.shingle_sets import at_least
from pipeline.text.arrays import Uint64
from schemas.filter.decisions import CUTS, DECISIONS
from schemas.filter.documents import DOCUMENTS
from schemas.filter.personal import PERSONAL
from schemas.scan.counts import COUNTS
from schemas.scan.pairs import PAIRS

VERSION = 7
ALWAYS = ("row_key", "keeper", "method", *SOURCES, "text_bytes")


def also_needs(config: Config) -> tuple[str, ...]:
    """Return the names of the stages that this policy needs beyond those of every filter."""
    rules = config.policy.rules
    cutting = ("sketch", "windows") if CUT_SPANS in rules else ()
    finding = ("personal",) if {DROP_PERSONAL, MASK_PERSONAL} & set(rules) else ()
    return (*cutting, *finding, *(("risk",) if drop_risk.NAME in rules else ()))


def decisions(work: Work) -> Receipt:
    """Write the tables `decisions` and `cuts`: what happens to each document.

    A *reduce* stage.

    Raises:
        IntegrityError: When a decision breaks a promise of the filter.
    """
    policy = work.config.policy
    table = read_table(work.paths("documents"), DOCUMENTS, _columns(work))
    frame = _frame(work, table)
    tally = RuleTally(work, table)
    state, to_forget = frame, forgotten_rows(work)
    steps = decide(frame, policy, tally.risk_of_documents, to_forget, removals(work))
    for name, state in steps:
        tally.note(name, state)
    state, cut = _changed(work, state, tally)
    state, facts = _with_columns(work, table, state)
    rows = _rows(state, masks=policy.cut == MASKS)
    with write_table(work.folder, "decisions", work.key, DECISIONS, group=ROWS_OF_SHARDS) as out:
        out.write(rows)
    with write_table(work.folder, "cuts", work.key, CUTS) as ranges:
        ranges.write(cut.ranges)
    _audit(work, [out.place], frame, to_forget)
    _audit_personal(work, [out.place], [ranges.place], frame)
    reasons = run("filter/reasons", {"decisions": [out.place]})
    forgotten = state.filter(pl.col("reason") == "forgotten")["row_key"].to_numpy()
    if forgotten.size:
        holders = sharing_a_window(work, state, forgotten)
        facts["forgotten"] = {
            "rows": forgotten.size,
            "kept_documents_that_share_a_window": holders,
        }
    facts |= {
        GROUPS: group_digests(work.shards, [rows], [cut.ranges]),
        "reasons": dict(zip(*reasons.to_pydict().values(), strict=True)),
        "rules": tally.rules,
        **tally.before_and_after,
        **cut.facts,
    }
    return Receipt((out.record, ranges.record), table.num_rows, out.rows, facts)


def _changed(work: Work, state: pl.DataFrame, tally: RuleTally) -> tuple[pl.DataFrame, Cut]:
    """Return the documents after the rules that change texts, and all that these cut or mask."""
    cut = Cut.nothing()
    if CUT_SPANS in work.config.policy.rules:
        cut = cuts(work, state)
        state = with_cuts(state, cut)
        tally.note(CUT_SPANS, state, cut)
    if cuts_items(work.config):
        cut = item_cuts(work, state)
        state = with_item_cuts(state, cut)
        tally.note(f"{decontaminate.NAME}, cut", state, cut)
    if masks_personal(work.config):
        cut = personal_masks(work, state, cut)
        state = with_masks(state, cut)
        tally.note(MASK_PERSONAL, state, cut)
    return state, cut


def _columns(work: Work) -> list[str]:
    """Return the columns of `documents` that the policy needs."""
    config, names = work.config, list(ALWAYS)
    if {keep_n.NAME, drop_risk.NAME} & set(config.policy.rules):
        names += RANKED_BY
    if CUT_SPANS in config.policy.rules:
        names += ["shard", "row", "words"]
    if forgotten_texts(work):
        names += ["shard", "row"]
    mitigated = config.mitigation.sink_id or config.mitigation.weights != "none"
    if mitigated or work.recalled.get(RESTORED) or work.paths("risk_model"):
        names += ["representative", "text_hash", "exact_count"]
    return [name for name in DOCUMENTS.names if name in names]


def _frame(work: Work, table: pa.Table) -> pl.DataFrame:
    """Return the documents as the rules see them, restored rows found by key and text."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - narrows the union that from_arrow declares
    if {keep_n.NAME, drop_risk.NAME} & set(work.config.policy.rules):
        rank = ranks(with_stayed(work, table), work.config.near)
        frame = frame.with_columns(rank=pl.Series(rank))
    if DROP_PERSONAL in work.config.policy.rules:
        frame = frame.join(_finds(work), on="row_key", how="left", maintain_order="left")
    restored = frozenset[int]()
    if noted := work.recalled.get(RESTORED):
        given = pl.DataFrame(
            [(row["row_key"], bytes.fromhex(row["text_hash"])) for row in noted],
            schema={"row_key": pl.UInt64, "text_hash": pl.Binary},
            orient="row",
        )
        found = frame.with_columns(pl.col("text_hash").cast(pl.Binary))
        restored = frozenset(found.join(given, on=["row_key", "text_hash"])["row_key"].to_list())
    return prepared(frame, work.config.policy, restored)


def _finds(work: Work) -> pl.DataFrame:
    """Return how many pieces of personal data each document holds that holds one."""
    table = pl.from_arrow(read_table(work.paths("personal"), PERSONAL, ["row_key"]))
    assert isinstance(table, pl.DataFrame)  # noqa: S101 - narrows the union that from_arrow declares
    return table.group_by("row_key").len("finds")


def with_cuts(state: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """Return the documents with the rule `cut-spans` entered where it cuts or removes."""
    cut_rows = pl.Series(cut.ranges["row_key"].unique().to_numpy(), dtype=pl.UInt64)
    repeated = pl.col("row_key").is_in(cut_rows.implode())
    short = pl.col("row_key").is_in(pl.Series(cut.short, dtype=pl.UInt64).implode())
    return state.with_columns(
        rule=pl.when(repeated | short).then(pl.lit(CUT_SPANS)).otherwise("rule"),
        reason=pl.when(repeated)
        .then(pl.lit("repeated"))
        .when(short)
        .then(pl.lit("short"))
        .otherwise("reason"),
    )


def _with_columns(
    work: Work, table: pa.Table, state: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return the documents with `sink_id` and `weight`, null unless set, and facts about them."""
    wanted, facts = work.config.mitigation, dict[str, Any]()
    state = state.with_columns(sink_id=pl.lit(None, pl.UInt64), weight=pl.lit(None, pl.Float64))
    if wanted.sink_id:
        near = near_pairs(work)
        state = state.with_columns(sink_id=pl.Series(sink_ids(table, near)))
        facts["sinks"] = {
            "sinks": state["sink_id"].n_unique(),
            "documents_with_another_sink_than_before": changed_sinks(table, near, work.known),
        }
    if wanted.weights != "none":
        dropped = gone(state.filter(~pl.col("reason").is_in(CUT_REASONS)))
        state = state.with_columns(weight=weights(work, table, dropped))
    return state, facts


def near_pairs(work: Work) -> pa.Table:
    """Return the columns a and b of the pairs at or above the threshold of near copies."""
    pairs = read_table(work.paths("pairs"), PAIRS, ["a", "b", "inter", "union"])
    return reaching(pairs, "union", work.config.near.threshold).select(["a", "b"])


def _rows(state: pl.DataFrame, *, masks: bool) -> pa.Table:
    """Return the rows of the table `decisions`, with passages listed instead of cut if `masks`."""
    restored = pl.col("rule").is_null() & pl.col("restored")
    return state.select(
        "row_key",
        pl.when(pl.col("rule").is_null())
        .then(pl.lit("keep"))
        .when(pl.col("reason").is_in((CUT_REASON, MASKED)))
        .then(pl.lit("cut"))
        .when(pl.col("reason") == "repeated")
        .then(pl.lit("mask" if masks else "cut"))
        .otherwise(pl.lit("drop"))
        .alias("action"),
        pl.when(restored).then(pl.lit(RESTORE)).otherwise("rule").alias("rule"),
        pl.when(restored).then(pl.lit("restored")).otherwise("reason").alias("reason"),
        pl.col("stands").alias("keeper"),
        "risk_after",
        "sink_id",
        "weight",
    ).to_arrow()


def _audit(work: Work, decided: list[Path], frame: pl.DataFrame, to_forget: Uint64) -> None:
    """Audit in SQL that the decisions keep the promises of a filter.

    Raises:
        IntegrityError: When a row breaks one.
    """
    spared = frame.filter("spared").select("row_key").to_arrow()
    forgotten = pa.table({"row_key": to_forget})
    for name, inputs, broken in (
        ("keepers_are_kept", {}, "A removed document names a keeper that is not kept."),
        (
            "removals_are_explained",
            {"documents": work.paths("documents")},
            "A document goes without a reason, or to another keeper than was proved.",
        ),
        ("spared_rows_stay", {"spared": spared}, "A document goes that no rule may take."),
        ("forgotten_rows_go", {"forgotten": forgotten}, "A document to forget stays."),
    ):
        found = run(f"filter/audits/{name}", {"decisions": decided, **inputs}, limits=limits(work))
        if found.num_rows:
            raise IntegrityError(broken, where="decisions", found=f"{found.num_rows} rows")
    _audit_items(work, decided, spared)
    _audit_held(work, decided, spared)


def _audit_items(work: Work, decided: list[Path], spared: pa.Table) -> None:
    """Audit in SQL that rows go for items that they hold, and that none stays with one.

    Raises:
        IntegrityError: When a row breaks this.
    """
    if not (paths := work.paths("contaminated")):
        return
    asked = work.config.decontaminate
    shares = {
        "cover": at_least(asked.share),
        "near": at_least(work.config.near.threshold),
        "inside": at_least(asked.containment),
    }
    params = {f"{name}_{k}": part[n] for name, part in shares.items() for n, k in enumerate("tb")}
    inputs = {"decisions": decided, "contaminated": paths, "spared": spared}
    audit = "filter/audits/items_are_kept_out"
    found = run(audit, inputs, {"words": asked.words, **params}, limits=limits(work))
    if found.num_rows:
        raise IntegrityError(
            "A document goes without the item that proves it, or stays with one.",
            where="decisions",
            found=f"{found.num_rows} rows",
        )


def _audit_personal(
    work: Work, decided: list[Path], ranges: list[Path], frame: pl.DataFrame
) -> None:
    """Audit in SQL that what stays has no personal data that a rule was to mask or drop.

    Rows that a keeper of a row that may not go stays for are left out.

    Raises:
        IntegrityError: When a row breaks this.
    """
    rules = work.config.policy.rules
    if not {DROP_PERSONAL, MASK_PERSONAL} & set(rules):
        return
    free = frame.filter(~pl.col("spared"))
    needed = frame.filter(pl.col("spared") | ~pl.col(DROP_PERSONAL))["keeper"].drop_nulls()
    apart = ~pl.col("row_key").is_in(needed.implode()) & (
        pl.col("keeper").is_null() | ~pl.col("keeper").is_in(needed.implode())
    )
    inputs = {
        "decisions": decided,
        "cuts": ranges,
        "personal": work.paths("personal"),
        "masking": free.filter(MASK_PERSONAL).select("row_key").to_arrow(),
        "dropping": free.filter(pl.col(DROP_PERSONAL), apart).select("row_key").to_arrow(),
    }
    least = {"least": work.config.policy.personal}
    found = run("filter/audits/personal_is_gone", inputs, least, limits=limits(work))
    if found.num_rows:
        raise IntegrityError(
            "A document stays with personal data that a rule was to mask or to take.",
            where="decisions",
            found=f"{found.num_rows} rows",
        )


def _audit_held(work: Work, decided: list[Path], spared: pa.Table) -> None:
    """Audit in SQL that rows go which the other run is proved to hold, and no others for that.

    Raises:
        IntegrityError: When a row breaks this.
    """
    if not (paths := work.paths("held")):
        return
    near = work.config.near
    shares = {"near": at_least(near.threshold), "inside": at_least(near.containment)}
    params = {f"{name}_{k}": part[n] for name, part in shares.items() for n, k in enumerate("tb")}
    inputs = {"decisions": decided, "held": paths, "spared": spared}
    found = run("filter/audits/held_rows_go", inputs, params, limits=limits(work))
    if found.num_rows:
        raise IntegrityError(
            "A document goes as held by the other run without proof, or stays with it.",
            where="decisions",
            found=f"{found.num_rows} rows",
        )


def require_sources(counts: list[Path], policy: PolicyConfig) -> None:
    """Refuse a policy that names a source that no document has, before anything is written.

    Raises:
        ConfigError: When `policy.exempt` or `policy.sources` names one.
    """
    if policy.exempt or policy.sources:
        frame = pl.from_arrow(read_table(counts, COUNTS, SOURCES))
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - narrows from_arrow's union
        require_named(frame, policy)


def require_scored(config: Config, scored: bool, folder: Path) -> None:
    """Refuse a policy that needs a forecast in a run without one, naming the setting.

    Args:
        config: the settings.
        scored: whether the run has a forecast that is current.
        folder: the run folder, for the message.

    Raises:
        ConfigError: When a setting needs a forecast and the run has none.
    """
    needing = [
        (drop_risk.NAME in config.policy.rules, "rule drop-risk in policy.rules"),
        (config.mitigation.memfree_n > 0, "mitigation.memfree_n"),
        (config.mitigation.memfree_words > 0, "mitigation.memfree_words"),
        (
            config.mitigation.goldfish_k > 0 and not config.mitigation.tokenizer,
            "mitigation.goldfish_k without mitigation.tokenizer",
        ),
    ]
    names = [name for needs, name in needing if needs]
    if names and not scored:
        raise ConfigError(
            "The policy needs a forecast, and this run has none that is current.",
            where=names[0],
            found="never scored, or scored before the last scan or with other settings",
            fix=f"score it first: rote score {folder}",
        )
