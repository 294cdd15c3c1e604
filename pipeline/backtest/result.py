"""Make `backtest.json`: what was done, every triple, and every declared comparison, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.backtest.judgement.evidence import Evidence
from pipeline.backtest.judgement.forecasts import FORECASTS, UNSEEN
from pipeline.backtest.judgement.measures import triple_line
from pipeline.backtest.judgement.truths import OWN, Truth
from pipeline.backtest.training.trainings import Training
from pipeline.backtest.units import about_units
from pipeline.score.signals.wilson import wilson

CAVEATS = (
    "Every sequence is trained on and scored alone after one EOS: no offsets in a longer window.",
    "The panel is rich in repeated text: only the weighted stratum has the corpus's base rate.",
    "A target of a few million parameters shows which way things go, not what a large one does.",
    "Not a privacy guarantee: paraphrase, attributes and other prefixes are not looked at.",
)
DIGITS = 5


@dataclass(frozen=True)
class Named:
    """What a result says of its back-test.

    Attributes:
        size: name of the size.
        declared: digest of the declaration that came before the trainings; empty without one.
        trainings: of targets and arms.
    """

    size: str
    declared: str
    trainings: Sequence[Training]


def summary(
    named: Named, found: Evidence, tables: Mapping[pa.Schema, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Return what `backtest.json` holds: rounded numbers and words, no time and no text of the run.

    Args:
        named: what is said of the back-test.
        found: what is known of each sequence of the panel.
        tables: the rows of each table, by its schema.
    """
    rows = {(schema.metadata or {})[b"table"].decode(): part for schema, part in tables.items()}
    subject, config = found.subject, found.subject.work.config
    seeds = len(found.headline[UNSEEN])
    result: dict[str, Any] = _rounded(
        {
            "size": named.size,
            "declared": named.declared or "not declared before its targets were trained",
            "run": dict(subject.identity),
            "schedule": {
                "rows": len(subject.rows),
                "epochs": config.proxy.epochs,
                "batch": config.proxy.batch,
                "vocabulary": subject.vocabulary,
                "draws": config.backtest.draws,
            },
            "models": [
                {
                    "model": one.name,
                    "parameters": one.shape.parameters,
                    "tokens": one.rows[:, 1:].size * config.proxy.epochs,
                    "flops": one.cost * config.proxy.epochs,
                }
                for one in named.trainings
            ],
            "forecast": {
                **found.facts,
                **about_units(subject.panel.family, subject.unit),
                "rows_judged": int(found.judged.sum()),
                "rows_left_out": int((subject.taught & ~found.judged).sum()),
                "triples": len(found.triples),
                "triples_of_an_order_of_their_own": sum(
                    o.truth.order == OWN for o in found.triples
                ),
                "intervals_that_hold": _held(rows["backtest_triples"]),
            },
            "floors": [_floor(found, one.truth) for one in found.headline[UNSEEN]],
            "triples": rows["backtest_triples"],
            "differences": rows["backtest_differences"],
            "metrics": rows["backtest_metrics"],
            "reliability": rows["backtest_reliability"],
            "doses": rows["backtest_doses"],
            "arms": rows["backtest_arms"],
            "removal": rows["backtest_removal"],
            "removal_arms": rows["backtest_removal_arms"],
            "retention": rows["backtest_retention"],
            "caveats": [*CAVEATS, *([_one_seed()] if seeds < 2 else [])],
        }
    )
    return result


def _one_seed() -> str:
    return "One seed of the target: the intervals leave out the noise of training."


def _held(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return how many 95% intervals hold the observed share, by whose order the targets have.

    First those of the share itself, then those of the share of so many sequences.
    """
    own = [row for row in rows if row["score"] == UNSEEN]
    return {
        order: f"{sum(row['holds'] for row in part)} and "
        f"{sum(row['holds_drawn'] for row in part)} of {len(part)}"
        for order in sorted({row["order"] for row in own})
        for part in [[row for row in own if row["order"] == order]]
    }


def _floor(found: Evidence, truth: Truth) -> dict[str, Any]:
    """Return how much a target memorized of what no model was taught."""
    never = ~found.subject.taught
    units = found.subject.unit[never]
    hits = len(np.unique(units[truth.memorized[never]]))
    total = len(np.unique(units))
    return {
        "target": truth.name,
        "sequences": int(never.sum()),
        "memorized": int(truth.memorized[never].sum()),
        "units": total,
        "units_memorized": hits,
        "rate_of_units_95": list(wilson(hits, total)),
    }


def headline_lines(result: Mapping[str, Any]) -> list[str]:
    """Return the headline of a back-test in lines for the terminal."""
    most = max((len(row["ladder"].split()) for row in result["triples"]), default=0)
    lines = [
        triple_line(row)
        for name in FORECASTS
        for row in result["triples"]
        if row["score"] == name and row["order"] == OWN and len(row["ladder"].split()) == most
    ]
    lines += [
        f"{row['forecast']:<7} - {row['baseline']:<36} {row['metric']:<31} "
        f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        f"  Holm p {row['p_holm']:.3f}"
        for row in result["differences"]
    ]
    lines += [
        f"arm {row['arm']} ({row['share_removed']:.1%} of the rows), {row['rows']}: "
        f"{row['share_target']:.4f} to {row['share_arm']:.4f}, held-out loss "
        f"{row['held_out_loss_target']:.3f} to {row['held_out_loss_arm']:.3f}: {row['verdict']}"
        for row in result["arms"]
    ]
    lines += [removal_line(row) for row in result["removal"]]
    lines += [
        f"after {row['updates']} updates on new text, {row['rows']} taught {row['taught']} times "
        f"or more: recall {row['recall']:.3f}, held-out loss {row['held_out_loss']:.3f}"
        + ("" if row["recognition"] is None else f", recognition {row['recognition']:.3f}")
        for row in result["retention"]
    ]
    held = result["forecast"]["intervals_that_hold"]
    lines += [f"95% intervals that hold, order {order}: {text}" for order, text in held.items()]
    return lines


def removal_line(row: Mapping[str, Any]) -> str:
    """Return what a policy must remove, in a line for the terminal."""
    what = f"{row['times_less']} times less memorized by {row['policy']}"
    if row["share_of_tokens"] is None:
        return f"{what}: not by an arm of {row['share_too_small']:.1%} of the tokens or fewer"
    return (
        f"{what}: {row['share_of_tokens']:.1%} of the tokens "
        f"({row['share_too_small']:.1%} is too little), {row['left']:.3f} "
        f"[{row['left_low']:.3f}, {row['left_high']:.3f}] left, enough with "
        f"{row['seeds_enough']} of {row['seeds']} seeds; "
        f"held-out loss {row['loss_target']:.3f} to {row['loss_arm']:.3f}"
    )


def _rounded(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON values with every number rounded, null for what is not finite."""
    if isinstance(value, float):
        return round(value, DIGITS) if np.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
