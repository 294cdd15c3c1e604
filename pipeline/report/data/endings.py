"""Near copies that begin as the row that stays does and end otherwise: another answer."""

from __future__ import annotations

import numpy as np

from pipeline.engine.query import Limits
from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row
from pipeline.engine.texts import texts_of_rows

LOOKED_AT = 100  # removed near copies, the first
MOST_WORDS = 200
STEM = 0.5  # of the words of the shorter text, that both begin with


def endings(work: Work, limits: Limits) -> Row:
    """Return how many of some removed near copies have another end than the row that stays.

    Only counts leave this module; texts of at most 200 words are read.
    """
    inputs = {name: work.paths(name) for name in ("documents", "decisions")}
    if not all(inputs.values()):
        return {"looked_at": 0, "other_end": 0}
    asked = {"words": MOST_WORDS, "top": LOOKED_AT}
    pairs = query("report/near_removed", inputs, asked, limits=limits)
    keys = np.unique(np.concatenate([column.to_numpy() for column in pairs.columns]))
    texts = dict(texts_of_rows(work.shards, work.config.input, keys)) if keys.size else {}
    both = [
        (texts[own], texts[keeper])
        for own, keeper in zip(*(column.to_pylist() for column in pairs.columns), strict=True)
        if own in texts and keeper in texts
    ]
    return {"looked_at": len(both), "other_end": sum(_other_end(*pair) for pair in both)}


def _other_end(one: str, other: str) -> bool:
    """Tell whether two texts begin alike and have other last words."""
    a, b = one.casefold().split(), other.casefold().split()
    if not a or not b or a[-1] == b[-1]:
        return False
    shorter = min(len(a), len(b))
    same = next((n for n in range(shorter) if a[n] != b[n]), shorter)
    return STEM * shorter <= same < shorter
