"""Tables in text: would the model complete rows of this table, better than a guess would.

Row, header and first-token tests after Bordt et al. 2024 (tabmemcheck). Two of its
safeguards are kept: a rate means something only beside that of the modal answer, and a table whose
rows tell little (their entropy is low, or a first token is nearly always the same) is not judged.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

DELIMITERS = (",", "\t", ";", "|")
LEAST_ROWS = 8
REGULAR = 0.9
LEAST_ENTROPY = 0.5
TOO_EASY = 0.99
HEADER_ROWS = (2, 4, 6, 8)


def table_rows(text: str) -> list[tuple[int, int]] | None:
    """Return the places [start, end) of the rows of a text that is a table; None of another.

    A table has 8 rows, and nine in ten of its rows the same number of one delimiter. Places are of
    characters.
    """
    rows, start = [], 0
    for line in text.splitlines(keepends=True):
        end = start + len(line.rstrip("\r\n"))
        if text[start:end].strip():
            rows.append((start, end))
        start += len(line)
    if len(rows) < LEAST_ROWS:
        return None
    for sign in DELIMITERS:
        counts = Counter(text.count(sign, *row) for row in rows)
        usual, often = counts.most_common(1)[0]
        if usual and often >= REGULAR * len(rows):
            return rows
    return None


def modal_share(answers: Sequence[Hashable]) -> float:
    """Return how often the most common answer is right: the baseline of a rate."""
    return max(Counter(answers).values(), default=0) / max(1, len(answers))


def entropy_bits(answers: Sequence[Hashable]) -> float:
    """Return the entropy of the distribution of answers, in bits.

    It is log2 of their number when all differ.
    """
    total = len(answers)
    return -sum(n / total * math.log2(n / total) for n in Counter(answers).values()) + 0.0


def judged(rows: Sequence[Hashable], first: Sequence[Hashable]) -> bool:
    """Tell whether a table can be judged: its rows differ, and so do its first tokens.

    Args:
        rows: text of each row.
        first: first token of each row.
    """
    if len(rows) < 2:
        return False
    telling = entropy_bits(rows) >= LEAST_ENTROPY * math.log2(len(rows))
    return telling and modal_share(first) < TOO_EASY
