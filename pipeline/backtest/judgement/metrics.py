"""Metrics of a ranking and of a probability, over all draws of a family bootstrap at once.

Every function takes weights (draws, rows) and returns one value a draw; the first draw is the
sample itself. Scores that are equal are one threshold: a metric never depends on the order of ties.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit, logit

from pipeline.score.forecast.bootstrap import row_weights
from pipeline.text.arrays import Flags, Float64, Int64

LEAST = 1e-6  # of a probability that is taken for possible
STEPS = 40  # of a regression


@dataclass(frozen=True)
class JudgedSample:
    """Rows to judge on.

    Attributes:
        truth: whether the target memorized each, (rows,).
        unit: number of the family or planted group, which is drawn as one, (rows,).
        weight: sequences that each stands for, (rows,).
    """

    truth: Flags
    unit: Int64
    weight: Float64

    def blocks(self, draws: int, seed: int, most: int) -> Iterator[Float64]:
        """Yield the weights of the sample itself, then of each draw of whole units, (draws, rows).

        Args:
            draws: of the bootstrap.
            seed: of the bootstrap.
            most: numbers in a block at most; a block holds one draw at least.
        """
        yield self.weight[None, :]
        for times in row_weights(self.unit, draws, seed, most):
            yield times * self.weight


@dataclass(frozen=True)
class Curve:
    """The calls of a ranking at each threshold, from the highest score down.

    Attributes:
        score: the thresholds, (thresholds,).
        true: weight of true calls so far, (draws, thresholds).
        false: weight of false calls so far, (draws, thresholds).
    """

    score: Float64
    true: Float64  # (draws, thresholds)
    false: Float64  # (draws, thresholds)

    @property
    def recall(self) -> Float64:
        """The recall at each threshold, (draws, thresholds); NaN without a memorized row."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.true / self.true[:, -1:])

    @property
    def precision(self) -> Float64:
        """The precision at each threshold, (draws, thresholds); 1 before the first call."""
        called = self.true + self.false
        return np.divide(self.true, called, out=np.ones_like(called), where=called > 0)


def curve(score: Float64, truth: Flags, weight: Float64) -> Curve:
    """Return the curve of a score under each draw."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else np.zeros(0, np.bool_)
    called = weight[:, order]
    true = np.cumsum(called * truth[order], axis=1)[:, last]
    return Curve(ranked[last], true, np.cumsum(called, axis=1)[:, last] - true)


def average_precision(of: Curve) -> Float64:
    """Return the sum over thresholds of precision times the recall that each adds."""
    gained = np.diff(of.recall, axis=1, prepend=0.0)
    return np.asarray((gained * of.precision).sum(1))


def recall_at_precision(of: Curve, least: Float64) -> Float64:
    """Return the largest recall at a threshold with at least that precision; 0 without one.

    Args:
        of: the curve.
        least: the precision of each draw, (draws,).
    """
    reached = of.precision >= least[:, None] - 1e-12
    return np.asarray(np.where(reached & (of.true > 0), of.recall, 0.0).max(1, initial=0.0))


def recall_at_errors(of: Curve, errors: int) -> Float64:
    """Return the recall before so many wrong calls (lm-extraction-benchmark: 100)."""
    return np.asarray(np.where(of.false < errors, of.recall, 0.0).max(1, initial=0.0))


def roc_auc(of: Curve) -> Float64:
    """Return the chance that a memorized row outranks another, ties counting half."""
    true = np.diff(of.true, axis=1, prepend=0.0)
    false = np.diff(of.false, axis=1, prepend=0.0)
    above = of.true - true / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((false * above).sum(1) / (of.true[:, -1] * of.false[:, -1]))


def flag_precision(flag: Flags, truth: Flags, weight: Float64) -> Float64:
    """Return the precision of a yes or no; NaN where nothing is called."""
    called = weight[:, flag].sum(1)
    with np.errstate(invalid="ignore"):
        return np.asarray(weight[:, flag & truth].sum(1) / called)


def flag_recall(flag: Flags, truth: Flags, weight: Float64) -> Float64:
    """Return the recall of a yes or no."""
    with np.errstate(invalid="ignore"):
        return np.asarray(weight[:, flag & truth].sum(1) / weight[:, truth].sum(1))


def base_rate(truth: Flags, weight: Float64) -> Float64:
    """Return the share memorized."""
    return np.asarray(weight[:, truth].sum(1) / weight.sum(1))


def brier_skill(risk: Float64, truth: Flags, weight: Float64) -> Float64:
    """Return 1 - Brier score / that of the base rate: 1 is certain and right, 0 knows nothing.

    Brier 1950.
    """
    base = base_rate(truth, weight)
    score = (weight * (risk - truth) ** 2).sum(1) / weight.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1.0 - score / (base * (1.0 - base)))


def log_loss(risk: Float64, truth: Flags, weight: Float64) -> Float64:
    """Return the mean negative log likelihood in nats."""
    bounded = np.clip(risk, LEAST, 1 - LEAST)
    loss = -np.log(np.where(truth, bounded, 1 - bounded))
    return np.asarray((weight * loss).sum(1) / weight.sum(1))


def calibration(risk: Float64, truth: Flags, weight: Float64) -> tuple[Float64, Float64]:
    """Return intercept and slope of the logistic regression of the truth on the forecast's logit.

    0 and 1 are perfect (Cox 1958). All draws at once.
    """
    given = logit(np.clip(risk, LEAST, 1 - LEAST))
    share = weight / weight.sum(1, keepdims=True)
    line = np.tile([0.0, 1.0], (len(weight), 1))
    loss, damping = _loss(line, given, truth, share), np.full(len(weight), 1e-6)
    for _ in range(STEPS):
        tried = line + _step(line, given, truth, share, damping)
        found = _loss(tried, given, truth, share)
        better = found <= loss
        line, loss = np.where(better[:, None], tried, line), np.where(better, found, loss)
        damping = np.where(better, np.maximum(damping / 10, 1e-9), np.minimum(damping * 20, 1e3))
    return line[:, 0], line[:, 1]


def _logits(line: Float64, given: Float64) -> Float64:
    """Return the logits on a line of each draw, (draws, rows)."""
    return np.asarray(line[:, :1] + line[:, 1:] * given)


def _loss(line: Float64, given: Float64, truth: Flags, share: Float64) -> Float64:
    """Return the weighted log loss of a line in each draw."""
    signed = np.where(truth, 1.0, -1.0) * _logits(line, given)
    return np.asarray(-(share * log_expit(signed)).sum(1))


def _step(line: Float64, given: Float64, truth: Flags, share: Float64, damping: Float64) -> Float64:
    """Return the damped Newton step of each draw (Levenberg 1944), (draws, 2)."""
    chance = expit(_logits(line, given))
    miss, curved = share * (truth - chance), share * chance * (1 - chance)
    first, second = miss.sum(1), (miss * given).sum(1)
    a, c = curved.sum(1) + damping, (curved * given * given).sum(1) + damping
    b = (curved * given).sum(1)
    det = a * c - b * b
    return np.stack(((c * first - b * second) / det, (a * second - b * first) / det), axis=1)


def interval(values: Float64) -> tuple[float, float, float]:
    """Return the sample's value and 95% of the draws in which it is defined."""
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn):
        return float(values[0]), np.nan, np.nan
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(values[0]), float(low), float(high)


def two_sided(values: Float64) -> float:
    """Return the bootstrap's two-sided p of a difference: twice the smaller tail."""
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn):
        return 1.0
    tail = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return min(1.0, max(2 * tail, 1.0 / len(drawn)))


def holm(p: list[float]) -> list[float]:
    """Return p values adjusted for being several (Holm 1979)."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    found, least = [0.0] * len(p), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p) - rank) * p[place]))
        found[place] = least
    return found
