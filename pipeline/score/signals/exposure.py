"""Exposure of a canary among references of its form (Carlini et al. 2019).

exposure = log2 |R| - log2 rank, rank = 1 + the number of references that the model finds more
probable. (Code in the wild takes the last place of an argsort for the rank: that is where the
largest value stands.) R here holds the canary and m - 1 references, so exposure is at most log2 m,
and a text that was not learnt has log2 e = 1.4427 bits on average over a large R.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def exposure(canary: float, references: NDArray[np.float64]) -> float:
    """Return the exposure in bits.

    Args:
        canary: its loss; lower is more probable.
        references: theirs, (references,).
    """
    rank = 1 + int((references < canary).sum())
    return float(np.log2(len(references) + 1) - np.log2(rank))
