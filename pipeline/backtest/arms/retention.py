"""How long a target keeps what it learnt while it is trained on: recall, and recognition.

Recall is the share of sequences whose suffix is recited. Recognition is the chance that log p of
one that was taught is above that of one of its kind that never was (the area under the curve).
Jagielski et al. 2022 measured this forgetting; recall goes first. Intervals are 95% of a bootstrap
over units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.backtest.judgement import metrics
from pipeline.backtest.subject import Subject
from pipeline.score.forecast.bootstrap import row_weights
from pipeline.score.slices import SEQUENCE
from pipeline.text.arrays import Flags, Float64

RETENTION_ARM = "retention"
UPDATES = (0, 1, 3, 10, 30, 100)
DRAWS = 200
FEW = 3  # sequences of a group: fewer are not told


def rows_needed(batch: int) -> int:
    """Return how many rows of new text all updates take."""
    return UPDATES[-1] * batch


def retention_rows(
    subject: Subject, judged: Flags, scores: pa.Table, batch: int
) -> list[dict[str, Any]]:
    """Return the rows of `backtest_retention`: updates by group of sequences.

    Args:
        subject: the run.
        judged: sequences that count, (sequences,).
        scores: after each number of updates in turn, the panel's rows and then those held out.
        batch: rows of an update.
    """
    size, each = len(judged), scores.num_rows // len(UPDATES)
    draws = np.concatenate(list(row_weights(subject.unit, DRAWS, 1)))
    rows = []
    for place, updates in enumerate(UPDATES):
        own = scores.slice(place * each, each)
        memorized, log_p = (own[name].to_numpy()[:size] for name in ("memorized", "log_p_z"))
        loss = float(own["mean_nll"].to_numpy()[size:].mean())
        for kind, taught, inside, never in _groups(subject, judged):
            recall = _interval(memorized[inside].astype(np.float64), draws[:, inside])
            rows.append(
                {
                    "updates": updates,
                    "tokens": updates * batch * SEQUENCE,
                    "rows": kind,
                    "taught": taught,
                    "sequences": int(inside.sum()),
                    **dict(zip(("recall", "recall_low", "recall_high"), recall, strict=True)),
                    **_recognition(log_p.astype(np.float64), inside, never, draws),
                    "held_out_loss": loss,
                }
            )
    return rows


def _groups(subject: Subject, judged: Flags) -> Iterator[tuple[str, int, Flags, Flags]]:
    """Yield kind, least times taught (a power of two), sequences, and those never taught."""
    panel, dose = subject.panel, subject.panel.top.dose
    level = np.where(dose > 0, 2 ** np.floor(np.log2(np.maximum(dose, 1))), 0).astype(np.int64)
    for kind, of in (("natural", panel.natural), ("plants", panel.planted)):
        for taught in np.unique(level[of & judged & (level > 0)]).tolist():
            inside = of & judged & (level == taught)
            if inside.sum() >= FEW:
                yield kind, taught, inside, of & (level == 0)


def _interval(value: Float64, weight: Float64) -> tuple[float, float, float]:
    """Return a mean and the ends of its interval; weights are (draws, sequences)."""
    total = weight.sum(1)
    drawn = (weight @ value)[total > 0] / total[total > 0]
    low, high = np.quantile(drawn, (0.025, 0.975)) if len(drawn) else (np.nan, np.nan)
    return float(value.mean()), float(low), float(high)


def _recognition(
    log_p: Float64, inside: Flags, never: Flags, draws: Float64
) -> dict[str, float | None]:
    """Return the area under the curve and the ends of its interval; null without unknown ones."""
    names: Sequence[str] = ("recognition", "recognition_low", "recognition_high")
    if never.sum() < FEW:
        return dict.fromkeys(names)
    own = inside | never
    weight = np.concatenate((np.ones((1, own.sum())), draws[:, own]))
    areas = metrics.roc_auc(metrics.curve(log_p[own], inside[own], weight))
    low, high = np.quantile(areas[1:][np.isfinite(areas[1:])], (0.025, 0.975))
    return dict(zip(names, (float(areas[0]), float(low), float(high)), strict=True))
