"""The learning rate of a width: above the widest on record it falls as one over the width.

Adam moves every weight by about the rate, so what a layer of twice the width adds to its output in
a step grows by as much (Yang et al. 2021, muP). The embedding is the head as well, so its rate
follows. Measured: docs/evidence.md, with the command.
"""

from __future__ import annotations

FULL_RATE_WIDTH = 160  # the widest model whose figures are on record at the rate that is set


def rate_of_width(width: int) -> float:
    """Return what `proxy.rate` is multiplied by for a width."""
    return min(1.0, FULL_RATE_WIDTH / width)
