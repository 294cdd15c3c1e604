"""Cross-fit gap: the bits of a suffix that having seen it in training saves.

mem_U(x) = log2 p_in(x) - log2 p_out(x) for a model trained with x and one trained without (Morris
et al. 2025, section 2.3; the two-model form of Zhang et al. 2021, eq. 1). Text that can be guessed
has a gap near 0 however probable it is. Two models on the two halves of the families give one such
pair for every trained row.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def gap_bits(
    first: NDArray[np.float64], second: NDArray[np.float64], seen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the gap of each row in bits, (rows,); NaN where both halves saw it, or neither.

    Args:
        first: log p_z in nats by the model of one half, (rows,).
        second: the same by the model of the other, (rows,).
        seen: times each model was trained on the row, (rows, 2).
    """
    inside = (first - second) / math.log(2.0)
    only_first = (seen[:, 0] > 0) & (seen[:, 1] == 0)
    only_second = (seen[:, 1] > 0) & (seen[:, 0] == 0)
    return np.where(only_first, inside, np.where(only_second, -inside, np.nan))
