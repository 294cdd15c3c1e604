"""The outlook: what models of four sizes would recite of the corpus, by dose, as bands.

Whoever names no target still learns what matters: from which number of occurrences on a text is at
risk in a small, a middle and a large model, how much of the corpus that is, and how sure it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.score.forecast.features import ScoredPanel
from pipeline.score.forecast.scaling import Law, Model, half_doses, log_odds
from pipeline.score.forecast.target import TARGETS, TOKENS_PER_PARAMETER, without_embeddings
from pipeline.score.sequences.sampling import strata
from pipeline.text.arrays import Float64, Int64

ENDS = (0.025, 0.5, 0.975)
MOST_ROWS = 20_000  # of the panel, for the table


def outlook(law: Law, chosen: Int64, panel: ScoredPanel, features: Float64) -> dict[str, Any]:
    """Return the facts of the outlook.

    Args:
        law: of rows that proxies did not see.
        chosen: numbers of futures.
        panel: the scored sequences.
        features: of each sequence at one epoch, size and tokens as the top proxy's,
            (sequences, features).
    """
    from scipy.special import expit
    from scipy.stats import rankdata

    rows = np.flatnonzero(panel.natural)
    rows = rows[:: max(1, len(rows) // MOST_ROWS)]
    weight, level = panel.weight[rows], strata(panel.count[rows])
    scale = panel.weight[panel.natural].sum() / max(weight.sum(), 1e-12)
    models, orders = [], []
    for total in TARGETS:
        tokens = TOKENS_PER_PARAMETER * total
        model = Model(without_embeddings(total), tokens)
        odds = log_odds(law, chosen, features[rows], model)
        recited = expit(odds)
        orders.append(rankdata(odds.mean(axis=0)))
        models.append(
            {
                "parameters_in_all": total,
                "tokens": tokens,
                **half_recited(law, chosen, model, epochs=1),
                "by_occurrences": [
                    _of_level(number, level, weight * scale, recited)
                    for number in np.unique(level).tolist()
                ],
            }
        )
    return {"epochs": 1, "models": models, "order_agrees": _agreement(orders)}


def half_recited(law: Law, chosen: Int64, model: Model, *, epochs: float) -> dict[str, Any]:
    """Return at how many occurrences half of typical sequences are recited, and its interval.

    Args:
        law: of rows that proxies did not see.
        chosen: numbers of futures.
        model: the model.
        epochs: times that it sees the corpus.
    """
    low, middle, high = np.quantile(half_doses(law, chosen, model), ENDS) / epochs
    return {"half_dose": _rounded(middle), "half_dose_95": [_rounded(low), _rounded(high)]}


def _of_level(number: int, level: Int64, weight: Float64, recited: Float64) -> dict[str, Any]:
    """Return a row of the table: the sequences of a power of two of occurrences."""
    own = level == number
    low, high = 2**number, 2 ** (number + 1) - 1
    expected = recited[:, own] @ weight[own] if own.any() else np.zeros(1)
    ends = np.quantile(expected, ENDS)
    return {
        "occurrences": str(low) if low == high else f"{low} to {high}",
        "sequences": round(float(weight[own].sum())),
        "recited_95": [_rounded(ends[0]), _rounded(ends[2])],
    }


def _agreement(orders: list[Float64]) -> float:
    """Return the least rank correlation between the orders of sequences by two of the models."""
    found = np.corrcoef(np.stack(orders)) if len(orders[0]) > 1 else np.ones((1, 1))
    return round(float(np.nan_to_num(found, nan=1.0).min()), 4)


def _rounded(value: float) -> float:
    """Return a number with two digits that count."""
    return float(f"{value:.2g}")
