"""Forecasts against truths: every triple, every metric with its interval, and paired differences.

Metrics, differences, curves and reliability are of the headline: the full ladder and the largest
target of an order of its own. With several seeds of it, metrics are means over the seeds on the
same draws of units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.backtest.judgement import metrics
from pipeline.backtest.judgement.declared import (
    AP,
    AT_FLAG,
    AT_PROMISE,
    BASE_RATE,
    BRIER,
    ERRORS,
    RECALL,
    comparisons,
)
from pipeline.backtest.judgement.evidence import (
    EARLY_FLAG,
    OTHER_FLAG,
    OTHER_MARGIN,
    PROXY_FLAG,
    Evidence,
    Triple,
    baselines,
    flags,
)
from pipeline.backtest.judgement.forecasts import FORECASTS
from pipeline.backtest.judgement.measures import PROMISE, Bootstrap, measured
from pipeline.backtest.judgement.metrics import JudgedSample
from pipeline.backtest.judgement.strata import HEADLINE, Stratum
from pipeline.score.forecast.bootstrap import NUMBERS_AT_ONCE
from pipeline.text.arrays import Flags, Float64

BINS = 10
Values = dict[tuple[str, str], Float64]


def triple_rows(of: Evidence, draw: Bootstrap) -> list[dict[str, Any]]:
    """Return the rows of `backtest_triples`: each triple in each stratum that has rows."""
    rows = []
    for one in of.triples:
        for stratum in of.strata:
            found = measured(one.forecast, one.truth, one.other, of.dose, stratum, draw)
            if found is not None:
                rows.append({**one.about, "stratum": stratum.name, **found})
    return rows


def metric_rows(of: Evidence, draw: Bootstrap) -> tuple[list[dict[str, Any]], Values]:
    """Return the rows of `backtest_metrics`, and the values of the headline for comparisons."""
    rows: list[dict[str, Any]] = []
    headline: Values = {}
    for stratum in of.strata:
        memorized = [_memorized(of, place)[stratum.rows] for place in range(_seeds(of))]
        if not memorized or not all(0 < truth.sum() < len(truth) for truth in memorized):
            continue
        values = _mean([_measured(of, place, stratum, draw) for place in range(_seeds(of))])
        if stratum.name == HEADLINE:
            headline = values
        about = _about(of, stratum, np.mean(memorized, axis=0))
        for (score, metric), value in values.items():
            found, low, high = metrics.interval(value)
            ends = {"value": _number(found), "low": _number(low), "high": _number(high)}
            rows.append({"score": score, "metric": metric, **about, **ends})
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
    """Return the points of the precision-recall curves by stratum, of the first seed."""
    rows: list[dict[str, Any]] = []
    for stratum in reversed(of.strata):
        if not _seeds(of) or not _memorized(of, 0)[stratum.rows].any():
            continue
        chosen = stratum.rows
        truth, weight = _memorized(of, 0)[chosen], stratum.weight[chosen][None, :]
        for name, score in _scores(of, 0).items():
            found = metrics.curve(score[chosen], truth, weight)
            points = zip(found.score, found.precision[0], found.recall[0], strict=True)
            rows += [
                {
                    "score": name,
                    "stratum": stratum.name,
                    "threshold": float(threshold),
                    "precision": float(precision),
                    "recall": float(recall),
                }
                for threshold, precision, recall in points
            ]
    return rows


def reliability_rows(of: Evidence, draw: Bootstrap) -> list[dict[str, Any]]:
    """Return quantile bins of both forecasts by stratum, of the first seed."""
    rows = []
    for stratum in of.strata:
        for name in FORECASTS if _seeds(of) else ():
            places = np.flatnonzero(stratum.rows)
            if not len(places):
                continue
            risk = _triple(of, name, 0).forecast.risk[places, 0]
            order = places[np.argsort(risk, kind="stable")]
            rows += [
                _bin(of, name, stratum, part, draw)
                for part in np.array_split(order, BINS)
                if len(part)
            ]
    return rows


def _bin(
    of: Evidence, name: str, stratum: Stratum, inside: np.ndarray, draw: Bootstrap
) -> dict[str, Any]:
    """Return one bin, with a bootstrap interval of the observed share."""
    weight = stratum.weight[inside]
    sample = JudgedSample(_memorized(of, 0)[inside], draw.unit[inside], weight)
    blocks = sample.blocks(draw.times(len(inside)), draw.seed, NUMBERS_AT_ONCE)
    shares = [metrics.base_rate(sample.truth, weights) for weights in blocks]
    observed, low, high = metrics.interval(np.concatenate(shares))
    mean = np.average(_triple(of, name, 0).forecast.risk[inside, 0], weights=weight)
    return {
        "score": name,
        "stratum": stratum.name,
        "forecast": float(mean),
        "observed": _number(observed),
        "low": _number(low),
        "high": _number(high),
        "sequences": len(inside),
    }


def panel_table(of: Evidence) -> pa.Table:
    """Return the rows of `backtest_panel`: what was judged, forecast and true, by sequence."""
    subject, panel = of.subject, of.subject.panel
    first = _triple(of, FORECASTS[0], 0)
    yes = flags(subject, first.truth, first.other)
    columns: dict[str, Any] = {
        "kind": pa.array(subject.kind, pa.string()),
        "unit": subject.unit,
        "judged": of.judged,
        "taught": of.dose.astype(np.int64),
        "sequence_count": panel.count.astype(np.int64),
        "effective_count": panel.effective,
        "suffix_count": panel.suffix.astype(np.int64),
        "rarest_count": panel.rarest.astype(np.int64),
        "weight": panel.weight,
        "target": first.truth.memorized,
        "target_margin": first.truth.margin,
        "other": _optional(yes[OTHER_FLAG], missing=first.other is None),
        "early": yes[EARLY_FLAG],
        "proxy": yes[PROXY_FLAG],
    }
    for name in FORECASTS:
        for place, end in enumerate(("", "_low", "_high")):
            value = _triple(of, name, 0).forecast.risk[:, place]
            columns[f"risk_{name}{end}"] = pa.array(value, mask=np.isnan(value))
    return pa.table(columns)


def _optional(values: Flags, *, missing: bool) -> pa.Array:
    return pa.nulls(len(values), pa.bool_()) if missing else pa.array(values)


def _seeds(of: Evidence) -> int:
    return len(of.headline[FORECASTS[0]])


def _triple(of: Evidence, name: str, seed: int) -> Triple:
    return of.headline[name][seed]


def _memorized(of: Evidence, seed: int) -> Flags:
    return _triple(of, FORECASTS[0], seed).truth.memorized


def _scores(of: Evidence, seed: int) -> dict[str, Float64]:
    """Return all that ranks sequences: both forecasts, the baselines, the ceiling."""
    one = _triple(of, FORECASTS[0], seed)
    own = {name: _triple(of, name, seed).forecast.risk[:, 0] for name in FORECASTS}
    others = baselines(of.subject, one.truth, one.other)
    if one.other is None:
        del others[OTHER_MARGIN]
    return own | others


def _measured(of: Evidence, seed: int, stratum: Stratum, draw: Bootstrap) -> Values:
    """Return every metric of every score: the value of the sample, then one a draw, (1 + draws,).

    Args:
        of: the evidence.
        seed: place of the target among those of the headline.
        stratum: which rows, and how each counts.
        draw: of the bootstrap.
    """
    one, scores = _triple(of, FORECASTS[0], seed), _scores(of, seed)
    yes = flags(of.subject, one.truth, one.other)
    rows = stratum.rows
    sample = draw.sample(stratum, one.truth.memorized)
    parts: list[Values] = []
    for weight in sample.blocks(draw.times(int(rows.sum())), draw.seed, NUMBERS_AT_ONCE):
        found: Values = {}
        for name, flag in yes.items():
            found[name, "precision"] = metrics.flag_precision(flag[rows], sample.truth, weight)
            found[name, RECALL] = metrics.flag_recall(flag[rows], sample.truth, weight)
        precision = np.nan_to_num(found[PROXY_FLAG, "precision"], nan=1.0)
        for name, score in scores.items():
            found |= _ranked(name, score[rows], sample.truth, weight, precision)
        for name in FORECASTS:
            found |= _probable(name, scores[name][rows], sample.truth, weight)
        found[BASE_RATE, AP] = metrics.base_rate(sample.truth, weight)
        found[BASE_RATE, BRIER] = np.zeros(len(weight))
        parts.append(found)
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _ranked(name: str, score: Float64, truth: Flags, weight: Float64, precision: Float64) -> Values:
    """Return the metrics of a score as a ranking, (draws,) each."""
    of = metrics.curve(score, truth, weight)
    fixed = np.full(len(weight), PROMISE)
    return {
        (name, AP): metrics.average_precision(of),
        (name, AT_PROMISE): metrics.recall_at_precision(of, fixed),
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


def _mean(values: Sequence[Values]) -> Values:
    """Return each metric's mean over the seeds, draw by draw."""
    return {key: np.mean([one[key] for one in values], axis=0) for key in values[0]}


def _about(of: Evidence, stratum: Stratum, memorized: Float64) -> Mapping[str, Any]:
    """Return what is said of a stratum beside each metric: rows, units, base rate, floor."""
    weight = stratum.weight[stratum.rows]
    never = ~of.subject.taught
    floor = [float(_memorized(of, place)[never].mean()) for place in range(_seeds(of))]
    return {
        "stratum": stratum.name,
        "sequences": int(stratum.rows.sum()),
        "units": len(np.unique(of.subject.unit[stratum.rows])),
        "memorized": float(memorized.sum()),
        "base_rate": float(np.average(memorized, weights=weight)),
        "floor": float(np.mean(floor)) if never.any() else None,
    }


def _number(value: float) -> float | None:
    """Return a number for a table; None for one that is not finite."""
    return float(value) if np.isfinite(value) else None
