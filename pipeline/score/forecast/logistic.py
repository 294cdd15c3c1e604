"""Logistic regression with a prior on its coefficients, and how its forecasts are checked.

It is fitted on a ladder of sizes (Biderman et al. 2023, made continuous): what one proxy is asked
about a sequence predicts what another memorizes. The prior says what is known from elsewhere; the
more a run shows, the less of it is left (partial pooling, Gelman and Hill 2007, chapter 12).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.score.forecast.bootstrap import each_draw
from pipeline.text.arrays import Flags, Float64, Int64
from pipeline.text.hashing import keyed_hash

FOLDS = 5
MOST_STEPS = 50
MOST_HALVINGS = 20
TOLERANCE = 1e-7
DRAWS = 200
EDGES = (0.0, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True)
class Cases:
    """One case per sequence and proxy: features, and whether the proxy memorized it.

    Attributes:
        features: of each case, (cases, features).
        label: whether the labelling proxy memorized the sequence, (cases,).
        family: number of the sequence's family, (cases,).
        rung: number of the labelling proxy, (cases,).
        top: cases of the proxy that the forecast is judged on, (cases,).
    """

    features: Float64  # (cases, features)
    label: Flags
    family: Int64
    rung: Int64
    top: Flags

    @cached_property
    def weight(self) -> Float64:
        """1 over the root of the cases that a proxy has of the same family, (cases,).

        Sequences of a family tell less than as many of different ones.
        """
        both = np.column_stack((self.family, self.rung))
        _, place, count = np.unique(both, axis=0, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / np.sqrt(count[place.ravel()]))

    def where(self, rows: Flags) -> Cases:
        """Return some of the cases."""
        return Cases(
            self.features[rows],
            self.label[rows],
            self.family[rows],
            self.rung[rows],
            self.top[rows],
        )


@dataclass(frozen=True)
class Prior:
    """What is known of intercept and slopes before the fit; they are independent and normal.

    Attributes:
        mean: of each, in logits per unit, (1 + features,).
        deviation: of each, (1 + features,).
        least: no coefficient is below it; minus infinity for none, (1 + features,).
    """

    mean: Float64
    deviation: Float64
    least: Float64

    def drawn(self, normal: Float64) -> Prior:
        """Return the prior about a mean that is drawn from it.

        A fit with each of many such priors has the spread of the posterior (randomized maximum
        likelihood, Kitanidis 1995), wide where the run shows nothing.

        Args:
            normal: standard normal numbers, (1 + features,).
        """
        mean = np.maximum(self.least, self.mean + self.deviation * normal)
        return Prior(mean, self.deviation, self.least)


@dataclass(frozen=True)
class Logistic:
    """A fitted logistic regression.

    Attributes:
        beta: intercept and slopes, in logits per unit, (1 + features,).
    """

    beta: Float64

    def logit(self, features: Float64) -> Float64:
        """Return the log odds of each row of features, (rows,)."""
        return np.asarray(self.beta[0] + np.einsum("ij,j->i", features, self.beta[1:]))

    def slopes(self) -> list[float]:
        """Return the slope of each feature, in logits per unit."""
        return [float(slope) for slope in self.beta[1:]]


def fit(
    cases: Cases, prior: Prior, weight: Float64 | None = None, start: Float64 | None = None
) -> Logistic:
    """Return the coefficients of greatest posterior density.

    Newton's method, each step a bounded least-squares problem (Stark and Parker 1995). Sums are
    NumPy's own and never BLAS's, whose order depends on the number of cores.

    Args:
        cases: what it is fitted on.
        prior: of the coefficients.
        weight: of each case beside its own, (cases,); None for 1.
        start: coefficients to begin at, (1 + features,); None for the prior's means.
    """
    share = cases.weight if weight is None else cases.weight * weight
    inputs = np.column_stack((np.ones(len(cases.label)), cases.features))
    label = cases.label.astype(np.float64)
    beta = prior.mean if start is None else start
    loss = _loss(beta, inputs, label, share, prior)
    for _ in range(MOST_STEPS):
        step = _newton(beta, inputs, label, share, prior) - beta
        for _ in range(MOST_HALVINGS):
            tried = _loss(beta + step, inputs, label, share, prior)
            if tried <= loss:
                break
            step = step / 2
        beta, gained, loss = beta + step, loss - tried, tried
        if gained < TOLERANCE * max(1.0, abs(loss)):
            break
    return Logistic(beta)


def _logit(beta: Float64, inputs: Float64) -> Float64:
    return np.asarray(np.einsum("ij,j->i", inputs, beta))


def _loss(beta: Float64, inputs: Float64, label: Float64, share: Float64, prior: Prior) -> float:
    """Return minus the log posterior of coefficients, up to a constant."""
    from scipy.special import log_expit

    logit = _logit(beta, inputs)
    fit = label * log_expit(logit) + (1 - label) * log_expit(-logit)
    return float(0.5 * (((beta - prior.mean) / prior.deviation) ** 2).sum() - (share * fit).sum())


def _newton(
    beta: Float64, inputs: Float64, label: Float64, share: Float64, prior: Prior
) -> Float64:
    """Return the minimum, within bounds, of the quadratic that fits the loss at beta."""
    from scipy.optimize import lsq_linear
    from scipy.special import expit

    chance = expit(_logit(beta, inputs))
    precision = prior.deviation**-2.0
    slope = np.einsum("ij,i->j", inputs, share * (chance - label))
    slope = slope + precision * (beta - prior.mean)
    curve = np.einsum("ij,ik->jk", inputs * (share * chance * (1 - chance))[:, None], inputs)
    root = np.linalg.cholesky(curve + np.diag(precision)).T
    wanted = np.einsum("ij,j->i", root, beta) - np.linalg.solve(root.T, slope)
    return np.asarray(lsq_linear(root, wanted, (prior.least, np.inf), method="bvls").x)


def log_evidence(cases: Cases, prior: Prior, fitted: Logistic) -> float:
    """Return the log probability of the labels under a model, up to a constant.

    Coefficients are integrated out about the fitted ones (Laplace's approximation, MacKay 1992).
    """
    from scipy.special import expit

    inputs = np.column_stack((np.ones(len(cases.label)), cases.features))
    label, share = cases.label.astype(np.float64), cases.weight
    chance = expit(_logit(fitted.beta, inputs))
    curve = np.einsum("ij,ik->jk", inputs * (share * chance * (1 - chance))[:, None], inputs)
    volume = np.linalg.slogdet(np.diag(prior.deviation**2) @ curve + np.eye(len(curve)))[1]
    return -_loss(fitted.beta, inputs, label, share, prior) - 0.5 * float(volume)


def rung_errors(cases: Cases, fitted: Logistic) -> Float64:
    """Return by how many logits the forecast of each proxy is off as a whole, (proxies,).

    What a training of other weights and another order adds is seen in these shifts. The shift of a
    proxy is drawn to 0 where it rests on little: half of it at one uncertain case.
    """
    from scipy.special import expit

    logit = fitted.logit(cases.features)
    shifts = []
    for rung in np.unique(cases.rung).tolist():
        own = cases.rung == rung
        chance = expit(logit[own])
        share = cases.weight[own]
        informed = float((share * chance * (1 - chance)).sum())
        surplus = float((share * (cases.label[own] - chance)).sum())
        shifts.append(surplus / (1.0 + informed))
    return np.array(shifts)


def folds(family: Int64) -> Int64:
    """Return the fold of each row, by a hash of its family, (rows,)."""
    return (keyed_hash(family.astype(np.uint64), 17) % np.uint64(FOLDS)).astype(np.int64)


def cross_fitted(cases: Cases, prior: Prior) -> Float64:
    """Return the probability of each case by a model of the other families' folds, (cases,)."""
    from scipy.special import expit

    fold = folds(cases.family)
    result = np.zeros(len(cases.label))
    for number in range(FOLDS):
        judged = fold == number
        if judged.any():
            result[judged] = expit(fit(cases.where(~judged), prior).logit(cases.features[judged]))
    return result


def judged(cases: Cases, predicted: Float64, baseline: Float64, seed: int) -> dict[str, object]:
    """Return the held-out quality on the top pair, with 95% intervals, for the facts.

    It is average precision and Brier score, each with that of a baseline.

    Args:
        cases: what the model is fitted on and judged by, in different folds.
        predicted: `cross_fitted` of them, (cases,).
        baseline: score that the forecast has to beat in average precision, (cases,).
        seed: of the bootstrap.
    """
    predicted = predicted[cases.top]
    label, family, other = cases.label[cases.top], cases.family[cases.top], baseline[cases.top]
    sample = _quality(label, predicted, other, np.ones(len(label)))
    drawn = [
        _quality(label, predicted, other, weight)
        for weight in each_draw(family, DRAWS, seed)
        if (weight * label).sum() > 0
    ]
    found: dict[str, object] = {}
    for name, value in sample.items():
        low, high = np.quantile([one[name] for one in drawn], (0.025, 0.975))
        found[name] = round(value, 4)
        found[f"{name}_95"] = [round(float(low), 4), round(float(high), 4)]
    return found


def _quality(label: Flags, predicted: Float64, other: Float64, weight: Float64) -> dict[str, float]:
    """Return the measures of one weighting of the judged cases."""
    from sklearn.metrics import average_precision_score  # slow to import, and only scores need it

    base = np.average(label, weights=weight)
    precision = float(average_precision_score(label, predicted, sample_weight=weight))
    of_count = float(average_precision_score(label, other, sample_weight=weight))
    brier = float(np.average((predicted - label) ** 2, weights=weight))
    return {
        "average_precision": precision,
        "average_precision_of_log_count": of_count,
        "average_precision_gained": precision - of_count,
        "brier": brier,
        "brier_of_base_rate": float(base * (1 - base)),
        "base_rate_of_panel": float(base),
    }


def calibration(
    cases: Cases, predicted: Float64, edges: Sequence[float] = EDGES
) -> list[dict[str, float | int]]:
    """Return the mean forecast and the observed share for each bin of probability.

    Probabilities are cross-fitted, cases those of the top pair.
    """
    predicted = predicted[cases.top]
    label = cases.label[cases.top]
    place = np.digitize(predicted, edges[1:-1])
    rows: list[dict[str, float | int]] = []
    for number in np.unique(place).tolist():
        inside = place == number
        rows.append(
            {
                "from": edges[number],
                "to": edges[number + 1],
                "sequences": int(inside.sum()),
                "forecast": round(float(predicted[inside].mean()), 4),
                "observed": round(float(label[inside].mean()), 4),
            }
        )
    return rows
