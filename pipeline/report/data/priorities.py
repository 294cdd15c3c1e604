"""What to remove first and why: kinds of repetition by source, what was removed, what that costs.

The measure is words of training text that say again what a document that stays says already; of
text that repeats nothing but is likely to be memorized, tokens expected to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.engine.query import Limits
from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row

TOP = 12
GROUPS = 1000
LIKELY = 0.5


def first(work: Work, limits: Limits, *, order: bool = False) -> list[Row]:
    """Return `first` of report.json: the largest repetitions by source group and kind.

    Half of the places are for what still stays. In each row, `done` tells whether a rule of this
    run took it, `words` are those said again, and `expected_tokens` those of its documents as
    given, null without a forecast. Groups that are shown apart are left out.

    Args:
        work: the unit of work of the report.
        limits: of DuckDB.
        order: whether risks are an order: then no text is called likely to be memorized.
    """
    inputs = {name: work.paths(name) for name in ("documents", "decisions", "spans")}
    if not inputs["spans"]:
        return []
    rows = query("report/first", inputs, {"top": GROUPS}, limits=limits).to_pylist()
    forecast = risk_by_kind(work, limits)
    tokens = {(row["source_group"], row["kind"], row["done"]): row for row in forecast}
    for row in rows:
        known = tokens.get((row["source_group"], row["kind"], row["done"]))
        row["expected_tokens"] = known and known["expected_tokens"]
    alone = [
        {key: row[key] for key in ("source_group", "kind", "done", "documents", "text_bytes")}
        | {"words": None, "expected_tokens": row["expected_tokens"]}
        for row in forecast
        if row["kind"] == "risk" and not row["done"] and not order
    ]
    hidden = work.config.report.apart
    found = [r for r in (*rows, *alone) if worth(r) and r["source_group"] not in hidden]
    found.sort(key=lambda row: (-worth(row), row["source_group"], row["kind"], row["done"]))
    return top_rows(found, TOP)


def top_rows(rows: Sequence[Row], most: int) -> list[Row]:
    """Return at most so many rows, in order; half of the places are for what still stays."""
    stays = [row for row in rows if not row["done"]][: most // 2]
    others = [row for row in rows if row not in stays][: most - len(stays)]
    return [row for row in rows if row in stays or row in others]


def worth(row: Row) -> int:
    """Return what rows are ranked by: repeated words, else tokens expected to be memorized."""
    return int(row["expected_tokens"] or 0) if row["words"] is None else int(row["words"])


def risk_by_kind(work: Work, limits: Limits) -> list[Row]:
    """Return expected tokens by source group, kind and fate; nothing without a forecast."""
    inputs = {name: work.paths(name) for name in ("documents", "decisions", "document_risk")}
    if not inputs["document_risk"]:
        return []
    return list(query("report/first_risk", inputs, {"likely": LIKELY}, limits=limits).to_pylist())


def removed(work: Work, manifest: Mapping[str, Any], limits: Limits) -> Row:
    """Return `removed` of report.json: what each rule removed, what that costs, what it avoids.

    `rules` is what the decisions say of each rule themselves, where they do; `left` is the forecast
    before the filter and at the doses that it leaves, null without one.
    """
    inputs = {name: work.paths(name) for name in ("documents", "decisions", "pairs")}
    rows = query("report/removed", inputs, limits=limits).to_pylist() if inputs["pairs"] else []
    facts = manifest["outputs"].get("decisions/all", {}).get("facts", {})
    return {"by_reason": rows, "left": facts.get("left"), "rules": facts.get("rules", [])}
