"""Contamination by the peak of the output distribution (CDD), and its repair (TED).

Dong et al. 2024: draw samples of a continuation, and take the share of them within an edit distance
of alpha x the longest one's length of the greedy output. A model that learnt the text keeps saying
the same. Contaminated iff the peak is above xi; since small models crowd around their greedy
output for any text, xi is raised until at most FALSE of the texts that the model never saw are
above it. TED leaves out what is too near the greedy output, and repeated samples, so that what
remains shows what the model can do without its memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.score.signals.approximate import edit_distance

ALPHA = 0.05  # of the longest sample
XI = 0.01
TAU = 2  # edits
FALSE = 0.05  # of never-seen texts
LEAST = 20  # never-seen texts that a threshold is set by


def peak(distances: Sequence[int], longest: int, alpha: float = ALPHA) -> float:
    """Return the share of samples within alpha x `longest` tokens of the greedy output.

    Peak(M; x) = (1/n) sum over samples of 1[d <= alpha l] (Dong et al. 2024).

    Args:
        distances: of each sample from the greedy output, in edits.
        longest: tokens of the longest sample.
        alpha: the share of them.
    """
    return float(np.mean(np.asarray(distances) <= alpha * longest))


def contaminated(value: NDArray[np.float64], least: float = XI) -> NDArray[np.bool_]:
    """Tell of which texts the peak is that of a text that was learnt, in its shape.

    Args:
        value: peaks.
        least: above it a text counts as learnt.
    """
    return np.asarray(value > least)


def threshold(never_seen: NDArray[np.float64]) -> float:
    """Return the peak above which a text counts as learnt: xi, raised by what was never learnt.

    Args:
        never_seen: peaks of texts that the model never saw; fewer than LEAST say nothing.
    """
    if len(never_seen) < LEAST:
        return XI
    return max(XI, float(np.quantile(never_seen, 1 - FALSE, method="higher")))


def distances(greedy: Sequence[int], samples: Sequence[Sequence[int]]) -> list[int]:
    """Return the edit distance of each sample from the greedy output."""
    return [edit_distance(sample, greedy) for sample in samples]


def ted(samples: Sequence[Sequence[int]], apart: Sequence[int], tau: int = TAU) -> list[int]:
    """Return which samples stay: the first of each, more than tau edits from the greedy output.

    Args:
        samples: tokens of each.
        apart: edits of each from the greedy output.
        tau: the edits up to which a sample counts as the greedy output.
    """
    seen: set[tuple[int, ...]] = set()
    kept = []
    for place, (sample, distance) in enumerate(zip(samples, apart, strict=True)):
        if distance > tau and tuple(sample) not in seen:
            seen.add(tuple(sample))
            kept.append(place)
    return kept
