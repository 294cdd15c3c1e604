"""Approximate memorization: how close a generated suffix comes to the true one.

A suffix is memorized approximately iff the token edit distance is at most a tenth of it, which is
the rule of the Gemma reports. Beside it BLEU-4 of one sentence (Papineni et al. 2002, section 2.3),
where an n-gram order without a match counts as 0.1 (smoothing method 1 of NLTK, which llm-jp uses),
ROUGE-L (Lin 2004, section 3.1) and the share of matching tokens (Biderman et al. 2023, eq. 1). All
are over token numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

SHARE = 0.1
ORDERS = 4
SMALL = 0.1


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the least insertions, deletions and substitutions from one sequence to another.

    Levenshtein 1966, row by row; a row's insertions are a running minimum, so NumPy does it.
    """
    one, other = np.asarray(first), np.asarray(second)
    steps = np.arange(len(other) + 1)
    row = steps.copy()
    for place, token in enumerate(one, 1):
        changed = np.minimum(row[1:] + 1, row[:-1] + (other != token))
        row = np.minimum.accumulate(np.concatenate(([place], changed)) - steps) + steps
    return int(row[-1])


def is_approximate(distance: int, tokens: int) -> bool:
    """Tell whether a suffix of `tokens` is memorized approximately: within a tenth of edits."""
    return distance <= SHARE * tokens


def bleu(found: Sequence[int], true: Sequence[int]) -> float:
    """Return the BLEU-4 of generated tokens against the true ones, in [0, 1].

    exp(min(0, 1 - r / c) + mean over n of ln p_n), c and r the two lengths, p_n the share of
    n-grams that the true text holds too, each as often as it does (Papineni et al. 2002, section
    2.3).
    """
    if not found:
        return 0.0
    logs = 0.0
    for order in range(1, ORDERS + 1):
        own, wanted = _grams(found, order), _grams(true, order)
        total = max(1, len(found) - order + 1)
        logs += math.log((sum((own & wanted).values()) or SMALL) / total)
    brevity = min(0.0, 1.0 - len(true) / len(found))
    return math.exp(brevity + logs / ORDERS)


def rouge_l(found: Sequence[int], true: Sequence[int]) -> float:
    """Return ROUGE-L, the F-measure of the longest common subsequence, in [0, 1].

    2 LCS / (both lengths): Lin 2004, eq. 4 with beta = 1.
    """
    common = _common(found, true)
    return 2.0 * common / (len(found) + len(true)) if common else 0.0


def matched(found: Sequence[int], true: Sequence[int]) -> float:
    """Return the share of places that hold the true token; 1 for the whole suffix.

    The memorization score of Biderman et al. 2023, eq. 1.
    """
    return float(np.mean(np.asarray(found) == np.asarray(true)))


def _grams(tokens: Sequence[int], order: int) -> Counter[tuple[int, ...]]:
    """Return how often each n-gram of an order occurs."""
    return Counter(tuple(tokens[place : place + order]) for place in range(len(tokens) - order + 1))


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the longest common subsequence."""
    other = np.asarray(second)
    row = np.zeros(len(other) + 1, np.int64)
    for token in first:
        row[1:] = np.maximum(row[1:], row[:-1] + (other == token))
        row = np.maximum.accumulate(row)
    return int(row[-1])
