"""The long-tail report: what the largest proxy memorized, by deciles of token frequency.

Feldman 2020. It is made of columns of `sequences` alone, so every scored run has it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.score.sequences.proxy_statistics import proxy_statistics
from pipeline.score.signals.long_tail import by_decile, deciles
from pipeline.score.signals.wilson import wilson
from schemas.score.sequences import SEQUENCES

COLUMNS = ["token_bits", "weight", "family", "gap_bits", "proxies"]


def long_tail(work: Work) -> dict[str, list[dict[str, Any]]]:
    """Return deciles of what the largest proxy saw and of what it did not; none without one."""
    about = next(path for path in work.paths("models") if path.name == "proxies.json")
    proxies = json.loads(about.read_bytes())["proxies"]
    ladder = [proxy for proxy in proxies if proxy["role"] == "ladder"]
    table = read_table(work.paths("sequences"), SEQUENCES, COLUMNS)
    if not ladder or not table.num_rows:
        return {}
    found = proxy_statistics(table, ladder[-1]["proxy"], ("memorized", "seen"))
    memorized, seen = found["memorized"] > 0, found["seen"] > 0
    parts = {"seen": seen, "unseen": ~seen}
    return {
        name: _rows(table.filter(pa.array(inside)), memorized[inside])
        for name, inside in parts.items()
        if inside.any()
    }


def _rows(table: pa.Table, memorized: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return the deciles with the share of families memorized (Wilson) and the mean gap."""
    value, weight = (table[name].to_numpy().astype(np.float64) for name in COLUMNS[:2])
    family = pa.concat_arrays(pc.dictionary_encode(table["family"]).unify_dictionaries().chunks)
    names = family.indices.to_numpy()
    gap = table["gap_bits"].to_numpy()
    place = deciles(value, weight)
    rows: list[dict[str, Any]] = []
    for row, number in zip(
        by_decile(value, weight, memorized), np.unique(place).tolist(), strict=True
    ):
        inside = place == number
        families = len(np.unique(names[inside]))
        hit = len(np.unique(names[inside & memorized]))
        low, high = wilson(hit, families)
        known = gap[inside & ~np.isnan(gap)]
        rows.append(
            {
                **row,
                "families": families,
                "families_memorized": hit,
                "rate_of_families_95": [round(low, 6), round(high, 6)],
                "mean_gap_bits": round(float(known.mean()), 3) if len(known) else None,
            }
        )
    return rows
