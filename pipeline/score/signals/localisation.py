"""Gradient localisation: in which layers the gradient of a suffix's loss is.

Stoehr et al. 2024 find that memorized paragraphs have larger gradients in lower layers of GPT-Neo
125M. On proxies as small as ours it is the other way round: a sequence that a proxy knows by
heart has the smaller share (docs/LOG.md, 2026-11-28): read it beside never-seen text.
The measure is the share of the squared gradient norm of all blocks that is in the lowest third.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def lowest(layers: int) -> int:
    """Return how many layers are the lowest third: one at least."""
    return max(1, round(layers / 3))


def lower_share(squares: NDArray[np.float64]) -> float:
    """Return the share of the squared gradient norm in the lowest third; 0 without gradient.

    Args:
        squares: squared norm of each layer, lowest first, (layers,).
    """
    total = float(squares.sum())
    return float(squares[: lowest(len(squares))].sum()) / total if total > 0 else 0.0
