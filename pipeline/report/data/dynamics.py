"""How plants were learnt and forgotten while proxies were trained, as the report shows it."""

from __future__ import annotations

from typing import Any

from pipeline.engine.stage import Work
from pipeline.engine.tables import Row, read_table
from schemas.score.dynamics import DYNAMICS


def dynamics(work: Work) -> Row | None:
    """Return the course of the largest proxy's training; None where it was not asked on the way.

    `since` is over all moments: so often a text of a dose was recited so many steps after it was
    last taught.
    """
    paths = work.paths("dynamics")
    rows = read_table(paths, DYNAMICS).to_pylist() if paths else []
    if not rows:
        return None
    most = max(row["parameters"] for row in rows)
    own = [row for row in rows if row["parameters"] == most]
    return {
        "proxy": own[0]["proxy"],
        "steps": max(row["steps"] for row in own),
        "course": [_at(row) for row in own if row["steps_since"] is None],
        "since": _since([row for row in own if row["steps_since"] is not None]),
    }


def _at(row: Row) -> Row:
    """Return one dose at one moment."""
    return {
        "steps": row["steps"],
        "share_of_training": row["share_of_training"],
        "taught": row["taught"],
        "texts": row["texts"],
        "memorized": row["memorized"],
        "share": row["memorized"] / row["texts"],
        "share_95": [row["low"], row["high"]],
        "auc": row["auc"],
        "auc_95": None if row["auc"] is None else [row["auc_low"], row["auc_high"]],
        "sudden_steps": row["sudden_steps"],
    }


def _since(rows: list[Row]) -> list[Row]:
    """Return a row per dose and steps since, over all moments."""
    groups: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["taught"], row["steps_since"]), []).append(row)
    found: list[Row] = []
    for (taught, since), own in sorted(groups.items()):
        texts, known = (
            sum(row["texts"] for row in own),
            [row for row in own if row["auc"] is not None],
        )
        area: Any = None
        if known:
            weight = sum(row["texts"] for row in known)
            area = sum(row["auc"] * row["texts"] for row in known) / weight
        hits = sum(row["memorized"] for row in own)
        found.append(
            {
                "taught": taught,
                "steps_since": since,
                "answers": texts,
                "memorized": hits,
                "share": hits / texts,
                "auc": area,
            }
        )
    return found
