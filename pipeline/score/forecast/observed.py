"""What proxies memorized, as a report says it beside a forecast: counts, shares, the floor."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.score.forecast.features import ScoredPanel
from pipeline.score.signals.wilson import wilson
from pipeline.text.arrays import Flags


def dose_response(panel: ScoredPanel) -> list[dict[str, Any]]:
    """Return the share that each ladder proxy memorized, by powers of two of a count.

    Of sequences of the corpus; plants are apart, in the curves of `laws`.

    The count of what they were trained on is the times that they saw it, of the rest it is
    `sequence_count`: there the share is the floor of non-members, however often the text occurs.
    """
    taught = panel.top.taught
    count = np.where(taught, panel.top.dose, panel.count)
    level = np.floor(np.log2(np.maximum(count, 1.0))).astype(np.int64)
    rows: list[dict[str, Any]] = []
    for trained in (True, False):
        own = panel.natural & (taught == trained)
        for number in np.unique(level[own]).tolist():
            inside = own & (level == number)
            low, high = 2**number, 2 ** (number + 1) - 1
            rows.append(
                {
                    "trained_on": trained,
                    "times": str(low) if low == high else f"{low} to {high}",
                    "sequences": int(inside.sum()),
                    "families": len(np.unique(panel.family[inside])),
                    **{
                        proxy.name: round(float(proxy.memorized[inside].mean()), 4)
                        for proxy in panel.of_role("ladder")
                    },
                }
            )
    return rows


def memorized_families(panel: ScoredPanel) -> list[dict[str, Any]]:
    """Return for each proxy how many families that it saw hold a memorized sequence.

    Plants are counted apart, by cluster.
    """
    return [
        {
            "proxy": proxy.name,
            "parameters": proxy.parameters,
            "sequences_seen": int((proxy.taught & panel.natural).sum()),
            "memorized": int((proxy.memorized & proxy.taught & panel.natural).sum()),
            "families_seen": _families(panel, proxy.taught & panel.natural),
            "families_memorized": _families(panel, proxy.memorized & proxy.taught & panel.natural),
            "plants_seen": _families(panel, proxy.taught & panel.planted),
            "plants_memorized": _families(panel, proxy.memorized & proxy.taught & panel.planted),
        }
        for proxy in panel.proxies
    ]


def _families(panel: ScoredPanel, rows: Flags) -> int:
    return len(np.unique(panel.family[rows]))


def rate(panel: ScoredPanel, rows: Flags) -> dict[str, Any]:
    """Return how many of some sequences the largest proxy memorized, with a 95% interval.

    The interval is Wilson's over families, which are the independent units; 3/n of them is its
    upper end when there is none (the rule of three). The weighted share is of the corpus's
    sequences of that kind. No bootstrap: without a hit it would have no width.
    """
    families = len(np.unique(panel.family[rows]))
    hit = panel.top.memorized & rows
    hits = len(np.unique(panel.family[hit]))
    low, high = wilson(hits, families)
    weight = panel.weight[rows]
    return {
        "sequences": int(rows.sum()),
        "memorized": int(hit.sum()),
        "rate": round(float(hit.sum() / rows.sum()), 6) if rows.any() else None,
        "rate_weighted": round(float(np.average(hit[rows], weights=weight)), 6)
        if weight.sum() > 0  # else these are plants alone, which stand for nothing
        else None,
        "families": families,
        "families_memorized": hits,
        "rate_of_families_95": [round(low, 6), round(high, 6)] if families else None,
    }
