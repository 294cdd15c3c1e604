"""Levels of dose: powers of two of the times that a model saw a sequence."""

from __future__ import annotations

import numpy as np

from pipeline.text.arrays import Int64

WHOLE = ("ladder", "loaded")  # roles of models that did not see one half of the sample alone


def levels(seen: Int64) -> Int64:
    """Return 0 for what was never seen, else 1 + floor(log2 of the times), (rows,)."""
    return np.where(seen > 0, 1 + np.floor(np.log2(np.maximum(seen, 1))), 0).astype(np.int64)
