"""The dose response of plants, by model: memorized share with an interval, and exposure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.backtest.judgement.truths import Truth
from pipeline.backtest.subject import NATURAL, Subject
from pipeline.score.sequences.plants import EXACT
from pipeline.score.signals.exposure import exposure
from pipeline.score.signals.wilson import wilson
from pipeline.text.arrays import Flags, Int64


def dose_rows(subject: Subject, truths: Sequence[Truth]) -> list[dict[str, Any]]:
    """Return the rows of `backtest_doses`; dose 0 is of plants that no model saw.

    Exposure is that of Carlini et al. 2019, among the plants of dose 0.

    Args:
        subject: the run.
        truths: of the rungs of the ladder and of the targets.
    """
    panel, kind = subject.panel, subject.kind
    dose = np.where(panel.planted, panel.top.dose, -1).astype(np.int64)
    rows: list[dict[str, Any]] = []
    for truth in truths:
        for name in sorted({*kind.tolist()} - {NATURAL}):
            references = truth.log_p[(kind == name) & (dose == 0)]
            for number in np.unique(dose[kind == name]).tolist():
                inside = (kind == name) & (dose == number)
                exposed = name == EXACT and number > 0 and len(references) > 0
                bits = [exposure(-x, -references) for x in truth.log_p[inside]] if exposed else []
                rows.append(
                    {
                        "model": truth.name,
                        "parameters": truth.parameters,
                        "kind": name,
                        "dose": number,
                        **_share(truth.memorized, panel.family, inside),
                        "exposure_bits": float(np.mean(bits)) if exposed else None,
                    }
                )
    return rows


def _share(memorized: Flags, cluster: Int64, inside: Flags) -> dict[str, Any]:
    """Return clusters, memorized sequences and the Wilson interval over clusters of some rows."""
    clusters = len(np.unique(cluster[inside]))
    hits = len(np.unique(cluster[inside & memorized]))
    low, high = wilson(hits, clusters)
    return {
        "clusters": clusters,
        "memorized": int(memorized[inside].sum()),
        "sequences": int(inside.sum()),
        "low": low,
        "high": high,
    }
