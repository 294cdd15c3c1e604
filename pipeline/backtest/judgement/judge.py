"""Forecast against truth: every metric, its interval, and paired differences to each baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.backtest.judgement import metrics
from pipeline.backtest.judgement.evidence import (
    BASE_RATE,
    EARLY_FLAG,
    FORECASTS,
    OTHER_FLAG,
    OTHER_MARGIN,
    PROXY_FLAG,
    Evidence,
)
from pipeline.backtest.judgement.metrics import JudgedSample
from pipeline.backtest.judgement.preregistered import (
    AP,
    AT_FLAG,
    AT_MARGIN,
    BRIER,
    DOSES,
    ERRORS,
    HEADLINE,
    MARGIN,
    PRECISION,
    RANKERS,
    RECALL,
    STRATA,
    comparisons,
)
from pipeline.score.forecast.bootstrap import NUMBERS_AT_ONCE
from pipeline.text.arrays import Flags, Float64

BLOCK = NUMBERS_AT_ONCE
BINS = 10
Values = dict[tuple[str, str], Float64]


def rows_of(of: Evidence, stratum: str, dose: str) -> Flags:
    """Return the judged rows of a stratum and a range of counts, (rows,)."""
    low, high = DOSES[dose]
    inside = np.isin(of.kind, STRATA[stratum]) & (of.count >= low) & (of.count <= high)
    return np.asarray(of.judged & inside)


def measured(of: Evidence, rows: Flags, draws: int, seed: int) -> Values:
    """Return every metric of every score: the value of the sample, then one a draw, (1 + draws,).

    Args:
        of: the evidence.
        rows: those to judge, (rows,).
        draws: of the bootstrap.
        seed: of the bootstrap.
    """
    sample = JudgedSample(of.truth[rows], of.unit_number[rows], of.weight[rows])
    parts: list[Values] = []
    for weight in sample.blocks(draws, seed, BLOCK):
        found = _flags(of, rows, weight)
        precision = np.nan_to_num(found[PROXY_FLAG, "precision"], nan=1.0)
        for name in (*FORECASTS, *RANKERS, OTHER_MARGIN):
            score = of.risk[name][:, 0] if name in FORECASTS else of.scores[name]
            found |= _ranked(name, score[rows], sample.truth, weight, precision)
        for name in FORECASTS:
            found |= _probable(name, of.risk[name][rows, 0], sample.truth, weight)
        found[BASE_RATE, AP] = metrics.base_rate(sample.truth, weight)
        found[BASE_RATE, BRIER] = np.zeros(len(weight))
        parts.append(found)
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _ranked(name: str, score: Float64, truth: Flags, weight: Float64, precision: Float64) -> Values:
    """Return the metrics of a score as a ranking, (draws,) each."""
    of = metrics.curve(score, truth, weight)
    fixed = np.full(len(weight), PRECISION)
    return {
        (name, AP): metrics.average_precision(of),
        (name, "recall at precision 0.90"): metrics.recall_at_precision(of, fixed),
        (name, AT_MARGIN): metrics.recall_at_precision(of, np.maximum(fixed, precision - MARGIN)),
        (name, AT_FLAG): metrics.recall_at_precision(of, precision),
        (name, f"recall at {ERRORS} errors"): metrics.recall_at_errors(of, ERRORS),
        (name, "ROC-AUC"): metrics.roc_auc(of),
    }


def _probable(name: str, risk: Float64, truth: Flags, weight: Float64) -> Values:
    """Return the metrics of a forecast as a probability, (draws,) each."""
    intercept, slope = metrics.calibration(risk, truth, weight)
    return {
        (name, BRIER): metrics.brier_skill(risk, truth, weight),
        (name, "log loss"): metrics.log_loss(risk, truth, weight),
        (name, "calibration intercept"): intercept,
        (name, "calibration slope"): slope,
        (name, "mean risk"): (weight * risk).sum(1) / weight.sum(1),
    }


def _flags(of: Evidence, rows: Flags, weight: Float64) -> Values:
    """Return precision and recall of what says yes or no, (draws,) each."""
    found: Values = {}
    for name in (PROXY_FLAG, EARLY_FLAG, OTHER_FLAG):
        flag, truth = of.flags[name][rows], of.truth[rows]
        found[name, "precision"] = metrics.flag_precision(flag, truth, weight)
        found[name, RECALL] = metrics.flag_recall(flag, truth, weight)
    return found


def metric_rows(of: Evidence, draws: int, seed: int) -> tuple[list[dict[str, Any]], Values]:
    """Return the rows of `backtest_metrics`, and the values of the headline for comparisons."""
    rows: list[dict[str, Any]] = []
    headline: Values = {}
    for stratum in STRATA:
        for dose in DOSES:
            chosen = rows_of(of, stratum, dose)
            if not of.truth[chosen].any():
                continue
            values = measured(of, chosen, draws, seed)
            if (stratum, dose) == (HEADLINE, "all"):
                headline = values
            about = {"stratum": stratum, "dose": dose, **_about(of, stratum, chosen)}
            for (score, metric), value in values.items():
                found, low, high = metrics.interval(value)
                rows.append(
                    {
                        "score": score, "metric": metric, **about,
                        "value": _number(found), "low": _number(low), "high": _number(high),
                    }
                )  # fmt: skip
    return rows, headline


def difference_rows(headline: Values) -> list[dict[str, Any]]:
    """Return the declared comparisons: forecast minus baseline on the same draws."""
    if not headline:
        return []
    rows, p = [], []
    for one in comparisons():
        metric = one["metric"]
        own = headline[one["forecast"], metric]
        other = headline[one["baseline"], RECALL if one["baseline"] == PROXY_FLAG else metric]
        found, low, high = metrics.interval(own - other)
        p.append(metrics.two_sided(own - other))
        rows.append({**one, "difference": found, "low": low, "high": high, "p": p[-1]})
    return [{**row, "p_holm": value} for row, value in zip(rows, metrics.holm(p), strict=True)]


def curve_rows(of: Evidence) -> list[dict[str, Any]]:
    """Return the points of the precision-recall curves by stratum."""
    rows: list[dict[str, Any]] = []
    for stratum in STRATA:
        chosen = rows_of(of, stratum, "all")
        truth, weight = of.truth[chosen], of.weight[chosen][None, :]
        if not truth.any():
            continue
        for name in (*FORECASTS, *RANKERS, OTHER_MARGIN):
            score = of.risk[name][:, 0] if name in FORECASTS else of.scores[name]
            found = metrics.curve(score[chosen], truth, weight)
            points = zip(found.score, found.precision[0], found.recall[0], strict=True)
            rows += [
                {
                    "score": name, "stratum": stratum, "threshold": float(threshold),
                    "precision": float(precision), "recall": float(recall),
                }
                for threshold, precision, recall in points
            ]  # fmt: skip
    return rows


def reliability_rows(of: Evidence, draws: int, seed: int) -> list[dict[str, Any]]:
    """Return quantile bins of each forecast: mean probability against the observed share."""
    rows: list[dict[str, Any]] = []
    for stratum in STRATA:
        chosen = rows_of(of, stratum, "all")
        for name in FORECASTS if of.truth[chosen].any() else ():
            risk = of.risk[name][chosen, 0]
            edges = np.quantile(risk, np.linspace(0, 1, BINS + 1)[1:-1])
            place = np.searchsorted(edges, risk, "right")
            for number in np.unique(place).tolist():
                own = np.flatnonzero(chosen)[place == number]
                inside = np.isin(np.arange(len(chosen)), own)
                rows.append(_bin(of, name, stratum, inside, draws, seed))
    return rows


def _bin(
    of: Evidence, name: str, stratum: str, inside: Flags, draws: int, seed: int
) -> dict[str, Any]:
    """Return one bin, with a bootstrap interval of the observed share."""
    sample = JudgedSample(of.truth[inside], of.unit_number[inside], of.weight[inside])
    shares = [
        metrics.base_rate(sample.truth, weight) for weight in sample.blocks(draws, seed, BLOCK)
    ]
    observed, low, high = metrics.interval(np.concatenate(shares))
    mean = np.average(of.risk[name][inside, 0], weights=sample.weight)
    return {
        "score": name, "stratum": stratum, "forecast": float(mean), "observed": observed,
        "low": _number(low), "high": _number(high), "sequences": int(inside.sum()),
    }  # fmt: skip


def panel_table(of: Evidence) -> pa.Table:
    """Return the rows of `backtest_panel`."""
    columns: dict[str, Any] = {
        "kind": pa.array(of.kind, pa.string()),
        "part": pa.array(of.part, pa.string()),
        "cluster": pa.array(of.cluster, pa.string()),
        "unit": pa.array(of.unit, pa.string()),
        "trained": of.trained,
        "sequence_count": of.count.astype(np.int64),
        "effective_count": of.effective,
        "weight": of.weight,
        "target": of.truth,
        "other": of.flags[OTHER_FLAG],
        "early": of.flags[EARLY_FLAG],
        "proxy": of.flags[PROXY_FLAG],
    }
    for name in FORECASTS:
        for place, end in enumerate(("", "_low", "_high")):
            value = of.risk[name][:, place]
            columns[f"risk_{name}{end}"] = pa.array(value, mask=np.isnan(value))
    return pa.table(columns)


def _about(of: Evidence, stratum: str, chosen: Flags) -> Mapping[str, Any]:
    """Return what is said of a stratum beside each metric: rows, families, base rate, floor."""
    memorized = sum(of.floor[kind][0] for kind in STRATA[stratum])
    total = sum(of.floor[kind][1] for kind in STRATA[stratum])
    return {
        "sequences": int(chosen.sum()),
        "families": len(np.unique(of.unit_number[chosen])),
        "memorized": int(of.truth[chosen].sum()),
        "base_rate": float(np.average(of.truth[chosen], weights=of.weight[chosen])),
        "floor": memorized / total if total else None,
    }


def _number(value: float) -> float | None:
    """Return a number for a table; None for one that is not finite."""
    return float(value) if np.isfinite(value) else None
