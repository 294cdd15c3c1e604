"""The strata that a forecast is judged in, those first where it matters most.

Most text of a corpus occurs once, and most of a panel does not: so text that occurs once comes
first, and one stratum counts each sequence by what it stands for in the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.backtest.subject import Subject
from pipeline.text.arrays import Flags, Float64

MOST = 1 << 40
WEIGHTED = "natural, weighted"
HEADLINE = "all"
ONCE = "natural, once"
# kinds of text, least and most times that a target is taught it, whether sequences count by weight
STRATA: Mapping[str, tuple[str, int, int, bool]] = {
    ONCE: ("natural", 1, 1, False),
    "natural, 2 to 7": ("natural", 2, 7, False),
    "natural, 8 and more": ("natural", 8, MOST, False),
    WEIGHTED: ("natural", 1, MOST, True),
    "plants": ("plants", 1, MOST, False),
    HEADLINE: ("natural and plants", 1, MOST, False),
}


@dataclass(frozen=True)
class Stratum:
    """Some of the judged sequences.

    Attributes:
        name: its name.
        rows: which they are, (sequences,).
        weight: how much each counts, (sequences,).
    """

    name: str
    rows: Flags
    weight: Float64


def strata_of(subject: Subject, judged: Flags) -> list[Stratum]:
    """Return the strata of a panel, in their order.

    Args:
        subject: the run.
        judged: sequences that are judged, (sequences,).
    """
    panel = subject.panel
    kinds = {
        "natural": panel.natural,
        "plants": panel.planted,
        "natural and plants": np.ones(len(judged), np.bool_),
    }
    ones, uniform = np.ones(len(judged)), uniform_weight(subject, judged)
    # whole times: what a training repeats in all its epochs is a multiple of one epoch
    times = panel.top.dose / max(1, subject.work.config.proxy.epochs)
    return [
        Stratum(
            name,
            judged & kinds[kind] & (times >= least) & (times <= most),
            uniform if weighted else ones,
        )
        for name, (kind, least, most, weighted) in STRATA.items()
    ]


def uniform_weight(subject: Subject, judged: Flags) -> Float64:
    """Return how many sequences of the corpus each judged one stands for, (sequences,).

    A panel's weights are of all its sequences; what a target was taught is richer in repeats. So
    the judged ones of each power of two of the count stand for all of that level (poststratified).
    """
    panel = subject.panel
    level = np.floor(np.log2(np.maximum(panel.count, 1.0))).astype(np.int64)
    natural, size = panel.natural, int(level.max(initial=0)) + 1
    whole = np.bincount(level[natural], panel.weight[natural], size)
    own = natural & judged
    part = np.bincount(level[own], panel.weight[own], size)
    factor = np.divide(whole, part, out=np.zeros(size), where=part > 0)
    return np.asarray(np.where(own, panel.weight * factor[level], 0.0))
