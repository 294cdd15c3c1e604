"""One forecast against one target in one stratum: shares, ranks, probabilities, kept promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from pipeline.backtest.judgement import metrics
from pipeline.backtest.judgement.forecasts import Forecast
from pipeline.backtest.judgement.metrics import JudgedSample
from pipeline.backtest.judgement.strata import Stratum
from pipeline.backtest.judgement.truths import Truth
from pipeline.score.forecast.bootstrap import NUMBERS_AT_ONCE
from pipeline.score.forecast.logistic import folds
from pipeline.score.signals.wilson import wilson
from pipeline.text.arrays import Flags, Float64, Int64

LEAST_ROWS = 5  # of a stratum that is judged
PROMISES = (0.5, 0.75, 0.9)  # precision that thresholds promise
PROMISE = 0.9  # the one that the headline is about
LEAST_WAY = 0.01  # of average precision, from log count to the ceiling
NUMBERS = 1 << 30  # weights of all draws together: a panel of a GPU has fewer draws
LEAST_DRAWS = 100
MOST_SHIFT = 60.0  # logits


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        unit: of each sequence, which is drawn as one, (sequences,).
        draws: at most.
        seed: of the draws.
    """

    unit: Int64
    draws: int
    seed: int

    def times(self, rows: int) -> int:
        """Return the draws for so many rows: fewer where their weights would be too many."""
        return max(LEAST_DRAWS, min(self.draws, NUMBERS // max(1, rows)))

    def sample(self, stratum: Stratum, truth: Flags) -> JudgedSample:
        """Return the rows of a stratum as metrics take them."""
        rows = stratum.rows
        return JudgedSample(truth[rows], self.unit[rows], stratum.weight[rows])


def measured(
    found: Forecast,
    truth: Truth,
    other: Truth | None,
    dose: Float64,
    stratum: Stratum,
    draw: Bootstrap,
) -> dict[str, Any] | None:
    """Return the row of a forecast in a stratum; None for too few sequences.

    Args:
        found: the forecast, each unit by what was fitted on others.
        truth: what the target remembers.
        other: the same model of another seed, whose margin is the ceiling.
        dose: times that a target is taught each, (sequences,).
        stratum: which sequences, and how each counts.
        draw: how intervals are made.
    """
    rows = stratum.rows
    if rows.sum() < LEAST_ROWS or not stratum.weight[rows].any():
        return None
    return {
        **shares(found, truth.memorized, stratum, draw),
        **ranks(found.risk[:, 0], truth.memorized, other, dose, stratum, draw),
        **promises(found.risk[:, 0], truth.memorized, stratum, draw.unit),
    }


def shares(found: Forecast, memorized: Flags, stratum: Stratum, draw: Bootstrap) -> dict[str, Any]:
    """Return expected and observed shares, skill beside an oracle's, and the error with its sign.

    `expected_95` spans the futures of the law; `drawn_95` also that so few sequences are counted:
    of 318 at a risk of .0001 none is memorized. `logits_too_high` is what would have to be taken
    off every log odds for the expected share to be the observed one.
    """
    rows, weight = stratum.rows, stratum.weight[stratum.rows]
    risk, truth = found.risk[rows, 0], memorized[rows]
    observed = float(np.average(truth, weights=weight))
    low, high = np.quantile(found.shares[stratum.name], (0.025, 0.975))
    least, most = np.quantile(found.drawn[stratum.name], (0.025, 0.975))
    units = draw.unit[rows]
    hits, total = len(np.unique(units[truth])), len(np.unique(units))
    expected = float(np.average(risk, weights=weight))
    single = weight[None, :]
    skill = metrics.brier_skill(risk, truth, single)
    oracle = metrics.brier_skill(recalibrated(risk, truth, single), truth, single)
    return {
        "sequences": int(rows.sum()),
        "units": total,
        "memorized": int(truth.sum()),
        "observed": observed,
        "observed_of_units_95": list(wilson(hits, total)),
        "expected": expected,
        "expected_95": [float(low), float(high)],
        "holds": bool(low <= observed <= high),
        "drawn_95": [float(least), float(most)],
        "holds_drawn": bool(least <= observed <= most),
        "expected_over_observed": expected / observed if observed else None,
        "logits_too_high": too_high(risk, weight, observed),
        "brier_skill": _number(skill[0]),
        "oracle_brier_skill": _number(oracle[0]),
        "share_of_oracle": _number(skill[0] / oracle[0]) if oracle[0] > 0 else None,
    }


def too_high(risk: Float64, weight: Float64, observed: float) -> float | None:
    """Return by how many logits a forecast is too high as a whole; None without a hit or a miss."""
    if not 0.0 < observed < 1.0:
        return None
    given = logit(np.clip(risk, 1e-12, 1 - 1e-12))

    def surplus(shift: float) -> float:
        return float(np.average(expit(given - shift), weights=weight)) - observed

    return float(brentq(surplus, -MOST_SHIFT, MOST_SHIFT))


def recalibrated(risk: Float64, truth: Flags, weight: Float64) -> Float64:
    """Return the risk after a line in log odds that was fitted to the truth itself: an oracle.

    Args:
        risk: probabilities, (rows,).
        truth: whether each came true, (rows,).
        weight: of each, (1, rows).
    """
    if truth.all() or not truth.any():
        return np.full(len(truth), float(truth.mean()))
    intercept, slope = metrics.calibration(risk, truth, weight)
    bounded = np.clip(risk, metrics.LEAST, 1 - metrics.LEAST)
    return np.asarray(expit(intercept[0] + slope[0] * logit(bounded)))


def ranks(
    risk: Float64,
    memorized: Flags,
    other: Truth | None,
    dose: Float64,
    stratum: Stratum,
    draw: Bootstrap,
) -> dict[str, Any]:
    """Return average precision beside log count and the other seed's margin, with intervals.

    Empty where nothing, or everything, is memorized: there is nothing to rank.
    """
    rows = stratum.rows
    sample = draw.sample(stratum, memorized)
    if sample.truth.all() or not sample.truth.any():
        return {}
    own, count, ceiling = [], [], []
    times = draw.times(len(sample.truth))
    for weight in sample.blocks(times, draw.seed, NUMBERS_AT_ONCE):
        own.append(_precision(risk[rows], sample.truth, weight))
        count.append(_precision(dose[rows], sample.truth, weight))
        if other is not None:
            ceiling.append(_precision(other.margin[rows], sample.truth, weight))
    found, of_count = np.concatenate(own), np.concatenate(count)
    value, low, high = metrics.interval(found)
    result: dict[str, Any] = {
        "average_precision": value,
        "average_precision_95": [_number(low), _number(high)],
        "of_count": float(of_count[0]),
    }
    if ceiling:
        most = np.concatenate(ceiling)
        way = most - of_count
        gained = np.divide(
            found - of_count, way, out=np.full(len(way), np.nan), where=way > LEAST_WAY
        )
        share, low, high = metrics.interval(gained)
        result |= {
            "of_other_seed": float(most[0]),
            "share_of_the_way": _number(share),
            "share_of_the_way_95": [_number(low), _number(high)],
        }
    return result


def promises(
    risk: Float64, memorized: Flags, stratum: Stratum, unit: Int64
) -> dict[str, float | int | None]:
    """Return the precision of what each promise calls, and how much the last one calls."""
    rows = stratum.rows
    found: dict[str, float | int | None] = {}
    truth, weight = memorized[rows], stratum.weight[rows]
    for promised in PROMISES:
        called = called_at(risk[rows], unit[rows], promised)
        weighed = bool(weight[called].any())
        kept = float(np.average(truth[called], weights=weight[called])) if weighed else None
        found[f"precision_promised_{promised:g}"] = kept
        if promised == PROMISE:
            total = float((weight * truth).sum())
            caught = float((weight * truth)[called].sum())
            found["called_at_that"] = int(called.sum())
            found["recall_at_that"] = caught / total if total else None
    return found


def called_at(risk: Float64, unit: Int64, promised: float) -> Flags:
    """Return which rows are called with a promised precision; no label of a target is asked.

    A row is called when its own risk is the promise or more: a mean over all that is called, as a
    threshold might have it, does not carry over to units that are many rows of a lesser risk. And
    rows of a fold are called where those called of the others are of p / (1 - p) units at least, 9
    for .9: the mean error of fewer cannot be bounded by 1 - p, were none of them wrong (conformal
    risk control, Angelopoulos et al. 2024, theorem 1).

    Args:
        risk: of each row, (rows,).
        unit: of each, (rows,).
        promised: the precision p.
    """
    least = round(promised / (1.0 - promised), 6)
    fold, called = folds(unit), risk >= promised
    for number in np.unique(fold[called]).tolist():
        if len(np.unique(unit[(risk >= promised) & (fold != number)])) < least:
            called &= fold != number
    return called


def triple_line(row: Mapping[str, Any]) -> str:
    """Return a row of results for the terminal."""
    low, high = row["expected_95"]
    least, most = row["drawn_95"]
    held = "" if row["holds_drawn"] else " (outside)"
    text = (
        f"{row['ladder'].split()[-1]} -> {row['target']} ({row['times']:.1f}x, seed {row['seed']}) "
        f"{row['score']}, {row['stratum']}: {row['sequences']} sequences, observed "
        f"{row['observed']:.4f}, expected {row['expected']:.4f} [{low:.4f}, {high:.4f}], "
        f"in so many [{least:.4f}, {most:.4f}]{held}"
    )
    if row.get("brier_skill") is not None:
        text += f", skill {row['brier_skill']:.2f} of {row['oracle_brier_skill']:.2f}"
    if "average_precision" in row:
        text += f", AP {row['average_precision']:.3f} (count {row['of_count']:.3f}"
        if row.get("of_other_seed") is not None:
            text += (
                f", other seed {row['of_other_seed']:.3f}, way {_shown(row['share_of_the_way'])}"
            )
        kept, called = row["precision_promised_0.9"], row["called_at_that"]
        text += f"), 0.9 promised {_shown(kept)} of {called}"
    return text


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _precision(score: Float64, truth: Flags, weight: Float64) -> Float64:
    """Return the average precision of each draw, (draws,)."""
    return metrics.average_precision(metrics.curve(score, truth, weight))


def _number(value: float) -> float | None:
    """Return a number for a table; None for one that is not finite."""
    return float(value) if np.isfinite(value) else None
