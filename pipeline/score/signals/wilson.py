"""The interval of a share of independent units (Wilson 1927)."""

from __future__ import annotations

import numpy as np


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95% interval of a share; 0 to 3/n when there is no hit.

    Wilson 1927; the rule of three (Hanley and Lippman-Hand 1983).

    Args:
        hits: units with a hit.
        total: units.
    """
    from scipy.stats import norm

    if total == 0:
        return 0.0, 1.0
    if hits == 0:
        return 0.0, min(1.0, 3.0 / total)
    z = float(norm.ppf(0.975))
    share = hits / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = (
        z / (1 + z * z / total) * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    )
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))
