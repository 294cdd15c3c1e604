"""Make `backtest.json`: what was done, the headline and every declared comparison, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.backtest.judgement.evidence import FORECASTS, Evidence
from pipeline.backtest.judgement.preregistered import HEADLINE, STRATA
from pipeline.backtest.training.trainings import Training
from pipeline.score.forecast.observed import wilson
from pipeline.score.forecast.target import Target

if TYPE_CHECKING:
    from pipeline.backtest.backtest_run import BacktestRun

CAVEATS = (
    "One seed: the intervals leave out the noise of training; the other target shows its size.",
    "Every sequence is trained on and scored alone after one EOS: no offsets in a longer window.",
    "The panel is rich in repeated text: its base rate and precision are not a corpus's.",
    "Not a privacy guarantee: paraphrase, attributes and other prefixes are not looked at.",
)
DIGITS = 4


def summary(
    backtest_run: BacktestRun,
    trainings: Sequence[Training],
    found: Evidence,
    target: Target,
    tables: Mapping[pa.Schema, list[dict[str, Any]]],
) -> dict[str, Any]:
    """Return what `backtest.json` holds: rounded numbers and words, no time and no text of the run.

    Args:
        backtest_run: the back-test.
        trainings: what was trained.
        found: what is known of each sequence of the panel.
        target: the target that the forecast is for.
        tables: the rows of each table, by its schema.
    """
    named = {(schema.metadata or {})[b"table"].decode(): rows for schema, rows in tables.items()}
    learnt, config = backtest_run.subject.material.learnt, backtest_run.config
    rows = named["backtest_metrics"]
    result: dict[str, Any] = _rounded(
        {
            "size": backtest_run.size.name,
            "seeds": "one seed",
            "corpus": {**backtest_run.corpus.facts, "training_rows": len(learnt.rows)},
            "schedule": {
                "epochs": config.proxy.epochs,
                "batch": config.proxy.batch,
                "vocabulary": backtest_run.vocabulary,
                "draws": config.backtest.draws,
            },
            "models": [
                {
                    "model": one.name,
                    "parameters": one.shape.parameters,
                    "tokens": one.rows[:, 1:].size * config.proxy.epochs,
                    "flops": one.cost * config.proxy.epochs,
                }
                for one in trainings
            ],
            "target_over_largest_proxy": target.ratio,
            "forecast": {
                **found.facts,
                "rows_judged": int(found.judged.sum()),
                "rows_left_out": int((found.trained & ~found.judged).sum()),
            },
            "strata": [_stratum(found, name) for name in STRATA],
            "headline": _cells(rows, HEADLINE, "all"),
            "differences": named["backtest_differences"],
            "metrics": rows,
            "reliability": named["backtest_reliability"],
            "doses": named["backtest_doses"],
            "arms": named["backtest_arms"],
            "caveats": list(CAVEATS),
        }
    )
    return result


def _stratum(found: Evidence, name: str) -> dict[str, Any]:
    """Return how many sequences of some kinds of text were judged and memorized."""
    rows = found.judged & np.isin(found.kind, STRATA[name])
    memorized = sum(found.floor[kind][0] for kind in STRATA[name])
    total = sum(found.floor[kind][1] for kind in STRATA[name])
    low, high = wilson(memorized, total)
    return {
        "stratum": name,
        "sequences": int(rows.sum()),
        "families": len(np.unique(found.unit_number[rows])),
        "memorized": int(found.truth[rows].sum()),
        "families_memorized": len(np.unique(found.unit_number[rows & found.truth])),
        "base_rate": float(found.truth[rows].mean()) if rows.any() else None,
        "floor": {"memorized": memorized, "sequences": total, "rate_95": [low, high]},
    }


def _cells(rows: Sequence[Mapping[str, Any]], stratum: str, dose: str) -> dict[str, Any]:
    """Return [value, low, high] of each metric of each score, in one stratum and dose."""
    found: dict[str, Any] = {}
    for row in rows:
        if row["stratum"] == stratum and row["dose"] == dose:
            ends = [row["value"], row["low"], row["high"]]
            found.setdefault(row["score"], {})[row["metric"]] = ends
    return found


def headline_lines(result: Mapping[str, Any]) -> list[str]:
    """Return the headline of a back-test in lines for the terminal."""
    lines = [
        f"{row['stratum']}: {row['memorized']:,} of {row['sequences']:,} sequences memorized in "
        f"{row['families']:,} families; never seen: {row['floor']['memorized']} of "
        f"{row['floor']['sequences']}"
        for row in result["strata"]
    ]
    for name in FORECASTS:
        cells = result["headline"].get(name, {})
        lines += [
            f"{name:<7} {metric:<46} {_shown(ends)}"
            for metric, ends in cells.items()
            if ends[0] is not None
        ]
    lines += [
        f"{row['forecast']:<7} - {row['baseline']:<22} {row['metric']:<46} "
        f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        f"  Holm p {row['p_holm']:.3f}"
        for row in result["differences"]
    ]
    return lines


def _shown(ends: Sequence[float | None]) -> str:
    value, low, high = ends
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")


def _rounded(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON values with every number rounded, null for what is not finite."""
    if isinstance(value, float):
        return round(value, DIGITS) if np.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
