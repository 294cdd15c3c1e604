"""x"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mixed(keys: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return splitmix64 of `keys` under `seed` (Steele, Lea and Flood 2014, fig. 16): uniform over uint64."""
    with np.errstate(over="ignore"):
        value = keys.astype(np.uint64) + np.uint64(
            (seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64
        )
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))
