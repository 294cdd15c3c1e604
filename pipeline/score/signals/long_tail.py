"""The long tail: how much is memorized of common and of rare text, by deciles of frequency.

Feldman 2020 argues that models must memorize the rare examples of a long-tailed distribution. Each
sequence has a frequency (here the unigram bits of its suffix, rare is high); deciles are weighted,
so each stands for a tenth of the corpus's sequences.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.text.arrays import Float64


def deciles(value: Float64, weight: Float64) -> NDArray[np.int64]:
    """Return the weighted decile of each row, 0 for the lowest values; equal values share one.

    A value's decile is where the middle of its weight is.

    Args:
        value: what rows are ordered by, (rows,).
        weight: how many sequences each stands for, (rows,).
    """
    names, place = np.unique(value, return_inverse=True)
    mass = np.bincount(place, weight, len(names))
    middle = np.cumsum(mass) - mass / 2
    return np.asarray(np.minimum(9, np.floor(10 * middle / mass.sum())).astype(np.int64)[place])


def by_decile(
    value: Float64, weight: Float64, memorized: NDArray[np.bool_]
) -> list[dict[str, float | int]]:
    """Return for each decile its bounds, rows, and the plain and weighted share memorized.

    Args:
        value: what rows are ordered by, (rows,).
        weight: how many sequences each stands for, (rows,).
        memorized: whether each is, (rows,).
    """
    decile = deciles(value, weight)
    rows: list[dict[str, float | int]] = []
    for number in np.unique(decile).tolist():
        inside = decile == number
        rows.append(
            {
                "decile": number + 1,
                "from": round(float(value[inside].min()), 3),
                "to": round(float(value[inside].max()), 3),
                "sequences": int(inside.sum()),
                "memorized": round(float(memorized[inside].mean()), 4),
                "memorized_weighted": round(
                    float(np.average(memorized[inside], weights=weight[inside])), 4
                ),
            }
        )
    return rows
