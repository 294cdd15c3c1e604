"""The risk model: a logistic regression without negative slopes, its interval and its check.

It is fitted on a ladder of sizes (Biderman et al. 2023, made continuous): features of one proxy
predict what another memorizes. More doses, more copies, a more probable suffix and a larger model
never lower the forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear
from scipy.special import expit, log_expit
from scipy.stats import norm
from sklearn.metrics import average_precision_score

from pipeline.score.forecast.bootstrap import each_draw
from pipeline.text.arrays import Flags, Float64, Int64
from pipeline.text.hashing import keyed_hash

PENALTY = 1e-4
FOLDS = 5
MOST_STEPS = 30
MOST_HALVINGS = 20
TOLERANCE = 1e-9
LEAST_SPREAD = 1e-9
MOST_SPREAD = 50.0  # logits: says nothing
DRAWS = 200
EDGES = (0.0, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True)
class Cases:
    """One case per sequence and pair of proxies: features of one, whether the other memorized it.

    No feature lowers the forecast as it grows.

    Attributes:
        features: of each case, (cases, features).
        label: whether the labelling proxy memorized the sequence, (cases,).
        family: number of the sequence's family, (cases,).
        rung: place of the labelling proxy in the order of sizes, (cases,).
        top: cases of the pair that the forecast is judged on, (cases,).
    """

    features: Float64  # (cases, features)
    label: Flags
    family: Int64
    rung: Int64
    top: Flags

    @property
    def centre(self) -> Float64:
        """The mean of each feature, (features,)."""
        return np.asarray(self.features.mean(0))

    @property
    def scale(self) -> Float64:
        """The deviation of each feature, (features,); 1 for one that does not vary."""
        spread = self.features.std(0)
        return np.where(spread > LEAST_SPREAD, spread, 1.0)

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
class Logistic:
    """A fitted logistic regression on standardised features.

    Attributes:
        beta: intercept and slopes, in logits, (1 + features,).
        centre: what is subtracted from each feature, (features,).
        scale: what each is divided by then, (features,).
    """

    beta: Float64  # (1 + features,)
    centre: Float64  # (features,)
    scale: Float64  # (features,)

    def logit(self, features: Float64) -> Float64:
        """Return the log odds of each row of features, (rows,)."""
        inputs = (features - self.centre) / self.scale
        return np.asarray(self.beta[0] + np.einsum("ij,j->i", inputs, self.beta[1:]))

    def slopes(self) -> list[float]:
        """Return the slope of each feature, in logits per unit."""
        return [float(slope) for slope in self.beta[1:] / self.scale]


def fit(cases: Cases, weight: Float64 | None = None, start: Float64 | None = None) -> Logistic:
    """Return the logistic regression of least weighted log loss with no negative slope.

    A ridge of PENALTY per standardised slope keeps separable cases finite. Newton's method, each
    step a bounded least-squares problem (Stark and Parker 1995). Sums are NumPy's own and never
    BLAS's, whose order depends on the number of cores.

    Args:
        cases: what it is fitted on.
        weight: of each case, (cases,); None for 1.
        start: coefficients to begin at, (1 + features,); None for zeros.
    """
    weight = np.ones(len(cases.label)) if weight is None else weight
    centre, scale = cases.centre, cases.scale
    inputs = np.column_stack((np.ones(len(cases.label)), (cases.features - centre) / scale))
    label, share = cases.label.astype(np.float64), weight / weight.sum()
    beta = np.zeros(inputs.shape[1]) if start is None else start
    loss = _loss(beta, inputs, label, share)
    for _ in range(MOST_STEPS):
        step = _newton(beta, inputs, label, share) - beta
        for _ in range(MOST_HALVINGS):
            tried = _loss(beta + step, inputs, label, share)
            if tried <= loss:
                break
            step = step / 2
        beta, gained, loss = beta + step, loss - tried, tried
        if gained < TOLERANCE:
            break
    return Logistic(beta, centre, scale)


def _logit(beta: Float64, inputs: Float64) -> Float64:
    return np.asarray(np.einsum("ij,j->i", inputs, beta))


def _loss(beta: Float64, inputs: Float64, label: Float64, share: Float64) -> float:
    """Return the penalised log loss of coefficients."""
    logit = _logit(beta, inputs)
    fit = label * log_expit(logit) + (1 - label) * log_expit(-logit)
    return float(PENALTY * (beta[1:] ** 2).sum() - (share * fit).sum())


def _newton(beta: Float64, inputs: Float64, label: Float64, share: Float64) -> Float64:
    """Return the minimum, without negative slopes, of the quadratic that fits the loss at beta."""
    chance = expit(_logit(beta, inputs))
    ridge = np.full(len(beta), 2 * PENALTY)
    ridge[0] = 1e-9
    slope = np.einsum("ij,i->j", inputs, share * (chance - label)) + ridge * beta
    curve = np.einsum("ij,ik->jk", inputs * (share * chance * (1 - chance))[:, None], inputs)
    root = np.linalg.cholesky(curve + np.diag(ridge)).T
    wanted = np.einsum("ij,j->i", root, beta) - np.linalg.solve(root.T, slope)
    low = np.where(np.arange(len(beta)) == 0, -np.inf, 0.0)
    return np.asarray(lsq_linear(root, wanted, (low, np.inf), method="bvls").x)


def transfer_error(cases: Cases) -> float:
    """Return by how many logits a model fitted below the top rung is off on it.

    That is the shift that its calibration would need, fitted on other families than it is judged
    on. What happens from the last rung to the target is taken to be of this size, per the same
    ratio of sizes. MOST_SPREAD where nothing below the top rung is memorized.
    """
    below = cases.rung < cases.rung.max(initial=0)
    if not cases.label[below].any() or not cases.top.any():
        return MOST_SPREAD
    fold = folds(cases.family)
    logit, label = [], []
    for number in range(FOLDS):
        judged = cases.top & (fold == number)
        fitted = fit(cases.where(below & (fold != number)))
        logit.append(fitted.logit(cases.features[judged]))
        label.append(cases.label[judged])
    return abs(_shift(np.concatenate(logit), np.concatenate(label)))


def _shift(logit: Float64, label: Flags) -> float:
    """Return the number to add to the logits so that the mean probability is the observed share."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if expit(logit + middle).mean() < label.mean():
            low = middle
        else:
            high = middle
    return (low + high) / 2


def folds(family: Int64) -> Int64:
    """Return the fold of each row, by a hash of its family, (rows,)."""
    return (keyed_hash(family.astype(np.uint64), 17) % np.uint64(FOLDS)).astype(np.int64)


def cross_fitted(cases: Cases) -> Float64:
    """Return the probability of each case by a model of the other families' folds, (cases,)."""
    fold = folds(cases.family)
    result = np.zeros(len(cases.label))
    for number in range(FOLDS):
        judged = fold == number
        if judged.any():
            result[judged] = expit(fit(cases.where(~judged)).logit(cases.features[judged]))
    return result


def forecast(
    cases: Cases, features: Float64, spread: float, seed: int
) -> tuple[Float64, Float64, Float64]:
    """Return risk, low and high end of its 95% interval of each row, (rows,) each.

    The interval joins a bootstrap over families with the error of the transfer to another size:
    each draw is shifted by a normal quantile of its own.

    Args:
        cases: what the model is fitted on.
        features: of the rows to forecast, (rows, features).
        spread: standard deviation of the transfer error, in logits.
        seed: of the bootstrap.
    """
    whole = fit(cases)
    centre = whole.logit(features)
    order = np.argsort(keyed_hash(np.arange(DRAWS, dtype=np.uint64), seed))
    noise = norm.ppf((order + 0.5) / DRAWS) * spread
    drawn = np.empty((DRAWS, len(features)))  # log odds
    for draw, weight in enumerate(each_draw(cases.family, DRAWS, seed)):
        fitted = fit(cases, weight, whole.beta)
        drawn[draw] = fitted.logit(features) + noise[draw]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    return expit(centre), expit(np.minimum(low, centre)), expit(np.maximum(high, centre))


def judged(cases: Cases, baseline: Float64, seed: int) -> dict[str, object]:
    """Return the held-out quality on the top pair, with 95% intervals, for the facts.

    It is average precision and Brier score, each with that of a baseline.

    Args:
        cases: what the model is fitted on and judged by, in different folds.
        baseline: score that the forecast has to beat in average precision, (cases,).
        seed: of the bootstrap.
    """
    predicted = cross_fitted(cases)[cases.top]
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


def calibration(cases: Cases, edges: Sequence[float] = EDGES) -> list[dict[str, float | int]]:
    """Return the mean forecast and the observed share for each bin of probability.

    Probabilities are cross-fitted, cases those of the top pair.
    """
    predicted = cross_fitted(cases)[cases.top]
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
