"""Aggregates of probes: the mean of each number by how often the proxy saw the sequences.

Intervals are 95% of a bootstrap over families. The panel is shared out evenly over doses, so a mean
over a level is of that level, and none over all is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.score.forecast.bootstrap import row_weights
from pipeline.score.forecast.logistic import DRAWS
from pipeline.score.probes.doses import levels
from pipeline.score.probes.panel import Probed
from pipeline.score.signals.perturbation import limem
from pipeline.text.arrays import Float64

WITHOUT_MEAN = "tries_"  # they go over a hundred orders of magnitude: a mean is the largest
Statistic = Callable[[Float64], float]


@dataclass(frozen=True)
class SignalValues:
    """The numbers of one signal of one proxy.

    Attributes:
        signal: name of the measure.
        proxy: name of the proxy.
        panel: the sequences.
        seen: times the proxy was trained on each, (sequences,); see `known`.
        values: by name of the number, (sequences,) each; NaN where it does not exist.
        known: whether it is known what it was trained on; if not, `seen` has occurrences.
    """

    signal: str
    proxy: str
    panel: Probed
    seen: NDArray[np.int64]
    values: dict[str, Float64]
    known: bool = True


def aggregates(found: SignalValues, seed: int) -> list[dict[str, Any]]:
    """Return a row for each number and each level of dose, with its interval."""
    weights = np.concatenate(list(row_weights(found.panel.family, DRAWS, seed)))  # a small panel
    level = levels(found.seen)
    rows = []
    for name, statistic in _statistics(found).items():
        for number in np.unique(level).tolist():
            inside = (level == number) & statistic.defined
            if inside.any():
                interval = _interval(statistic, inside, weights)
                rows.append(_row(found, name, number, inside, interval))
    return rows


@dataclass(frozen=True)
class _Number:
    """A statistic of a set of sequences.

    Attributes:
        of: its value under weights, (sequences,), of the sequences.
        defined: sequences that it is of, (sequences,).
    """

    of: Statistic
    defined: NDArray[np.bool_]


def _statistics(found: SignalValues) -> dict[str, _Number]:
    """Return the statistics of a signal, by name."""
    rows = {
        name: _mean(value)
        for name, value in found.values.items()
        if _finite(value) and not name.startswith(WITHOUT_MEAN)
    }
    if found.signal == "limem":
        right, consistent = found.values["right"], np.nan_to_num(found.values["consistent"])
        rows["limem"] = _Number(
            lambda weight: _limem(right, consistent, weight), np.ones(len(right), np.bool_)
        )
    return rows


def _finite(value: Float64) -> bool:
    """Tell whether a mean says something: log p_z is -inf where a token is never drawn."""
    return bool(np.isfinite(value[~np.isnan(value)]).all() and not np.isnan(value).all())


def _mean(value: Float64) -> _Number:
    """Return the weighted mean of a number as a statistic."""
    filled = np.nan_to_num(value)
    return _Number(lambda weight: float((weight * filled).sum() / weight.sum()), ~np.isnan(value))


def _limem(right: Float64, consistent: Float64, weight: Float64) -> float:
    """Return LiMem under weights: that of `signals.perturbation`, of weighted shares."""
    hits = float((weight * right).sum())
    if not hits:
        return 0.0
    return limem(hits / float(weight.sum()), float((weight * right * consistent).sum()) / hits)


def _interval(
    statistic: _Number, inside: NDArray[np.bool_], weights: Float64
) -> tuple[float, float, float]:
    """Return a statistic of some sequences and the ends of its interval."""
    drawn = [statistic.of(weight * inside) for weight in weights if (weight * inside).any()]
    low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (np.nan, np.nan)
    return statistic.of(inside.astype(np.float64)), float(low), float(high)


def _row(
    found: SignalValues,
    name: str,
    level: int,
    inside: NDArray[np.bool_],
    values: tuple[float, float, float],
) -> dict[str, Any]:
    """Return the row of one number at one level of dose."""
    low, high = 2 ** (level - 1) if level else 0, 2**level - 1 if level else 0
    mean, *interval = (round(value, 5) for value in values)
    return {
        "signal": found.signal,
        "name": name,
        "proxy": found.proxy,
        "times_seen": str(low) if low == high else f"{low} to {high}",
        "sequences": int(inside.sum()),
        "families": len(np.unique(found.panel.family[inside])),
        "mean": mean,
        "mean_95": interval,
    }
