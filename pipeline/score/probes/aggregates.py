"""Probes in aggregate: the mean of each number by how often the proxy saw the sequences.

Intervals are 95% of a bootstrap over families: the rows of one are drawn together. The panel is
shared out evenly over doses, so a mean over a level is of that level, and none over all is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.score.forecast.bootstrap import row_weights
from pipeline.score.forecast.logistic import DRAWS
from pipeline.score.probes.panel import Probed, levels
from pipeline.score.signals.perturbation import limem
from pipeline.text.arrays import Float64

WITHOUT_MEAN = "tries_"  # they go over a hundred orders of magnitude: a mean is the largest
Statistic = Callable[[Float64], float]


@dataclass(frozen=True)
class SignalValues:
    """What one signal says of a proxy: numbers by name, one for each sequence of the panel."""

    signal: str
    proxy: str
    panel: Probed
    seen: NDArray[np.int64]
    values: dict[str, Float64]


def aggregates(found: SignalValues, seed: int) -> list[dict[str, Any]]:
    """Return a row for each number and each level of dose."""
    weights = np.concatenate(list(row_weights(found.panel.family, DRAWS, seed)))  # a small panel
    level = levels(found.seen)
    rows = []
    for name, statistic in _statistics(found).items():
        for number in np.unique(level).tolist():
            own = (level == number) & statistic.defined
            if own.any():
                rows.append(_row(found, name, number, own, _interval(statistic, own, weights)))
    return rows


@dataclass(frozen=True)
class _Number:
    """A number of a set of rows. of: the number under weights; defined: rows that it is of."""

    of: Statistic
    defined: NDArray[np.bool_]


def _statistics(found: SignalValues) -> dict[str, _Number]:
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
    filled = np.nan_to_num(value)
    return _Number(lambda weight: float((weight * filled).sum() / weight.sum()), ~np.isnan(value))


def _limem(right: Float64, consistent: Float64, weight: Float64) -> float:
    hits = float((weight * right).sum())
    if not hits:
        return 0.0
    return limem(hits / float(weight.sum()), float((weight * right * consistent).sum()) / hits)


def _interval(
    statistic: _Number, own: NDArray[np.bool_], weights: Float64
) -> tuple[float, float, float]:
    drawn = [statistic.of(weight * own) for weight in weights if (weight * own).any()]
    low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (np.nan, np.nan)
    return statistic.of(own.astype(np.float64)), float(low), float(high)


def _row(
    found: SignalValues,
    name: str,
    level: int,
    own: NDArray[np.bool_],
    values: tuple[float, float, float],
) -> dict[str, Any]:
    low, high = 2 ** (level - 1) if level else 0, 2**level - 1 if level else 0
    mean, *interval = (round(value, 5) for value in values)
    return {
        "signal": found.signal,
        "name": name,
        "proxy": found.proxy,
        "times_seen": str(low) if low == high else f"{low} to {high}",
        "sequences": int(own.sum()),
        "families": len(np.unique(found.panel.family[own])),
        "mean": mean,
        "mean_95": interval,
    }
