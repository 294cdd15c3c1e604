"""What the largest proxy memorized of kinds of text: redacted, templated, of another script.

Of sequences that it saw and, as the floor, of those it did not; made of columns of `sequences`
alone, so every scored run has it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.score.sequences.proxy_statistics import proxy_statistics
from pipeline.score.signals.wilson import wilson
from pipeline.text.arrays import Flags, Float64
from schemas.score.sequences import SEQUENCES

COLUMNS = ["redaction_share", "non_latin_share", "template_share", "family", "proxies"]
TEMPLATED = 0.5  # of the suffix's tokens
STRATA: tuple[tuple[str, str, Callable[[Float64], Flags]], ...] = (
    ("with redaction markers", "redaction_share", lambda share: share > 0),
    ("without redaction markers", "redaction_share", lambda share: share == 0),
    ("mostly of other scripts than Latin", "non_latin_share", lambda share: share > 1 / 2),
    ("a suffix that copying guesses for the most part", "template_share", lambda s: s > TEMPLATED),
    ("a suffix that copying does not guess", "template_share", lambda s: s <= TEMPLATED),
)


def strata(work: Work) -> list[dict[str, Any]]:
    """Return a row for each kind of text that there is, seen and unseen; none without a proxy."""
    about = next(path for path in work.paths("models") if path.name == "proxies.json")
    ladder = [
        proxy for proxy in json.loads(about.read_bytes())["proxies"] if proxy["role"] == "ladder"
    ]
    table = read_table(work.paths("sequences"), SEQUENCES, COLUMNS)
    if not ladder or not table.num_rows:
        return []
    found = proxy_statistics(table, ladder[-1]["proxy"], ("memorized", "seen"))
    memorized, seen = found["memorized"] > 0, found["seen"] > 0
    family = np.asarray(table["family"].to_numpy())
    return [
        _row(name, family[inside], memorized[inside], seen=which)
        for name, column, chosen in STRATA
        for which in (True, False)
        for inside in [chosen(_column(table, column)) & (seen == which)]
        if inside.any()
    ]


def _column(table: pa.Table, name: str) -> Float64:
    return np.asarray(table[name].to_numpy().astype(np.float64))


def _row(name: str, family: np.ndarray, memorized: Flags, *, seen: bool) -> dict[str, Any]:
    """Return the row of a kind of text: shares of sequences and of families (Wilson)."""
    families, hit = len(np.unique(family)), len(np.unique(family[memorized]))
    low, high = wilson(hit, families)
    return {
        "text": name,
        "seen": seen,
        "sequences": len(family),
        "rate": round(float(memorized.mean()), 6),
        "families": families,
        "families_memorized": hit,
        "rate_of_families_95": [round(low, 6), round(high, 6)],
    }
