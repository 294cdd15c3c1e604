"""Arms against the plain target: at equal tokens, and at equal held-out loss by interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.backtest.judgement import metrics
from pipeline.backtest.judgement.evidence import Evidence
from pipeline.backtest.judgement.judge import BLOCK
from pipeline.backtest.judgement.metrics import JudgedSample
from pipeline.config.sections import Config
from pipeline.text.arrays import Flags, Float64

EQUAL_TOKENS, EQUAL_LOSS = "equal tokens", "equal held-out loss"


@dataclass(frozen=True)
class Arm:
    """An arm. gone: per document of the back-test's corpus, whether it was removed."""

    name: str
    gone: Flags
    rows_removed: int


@dataclass(frozen=True)
class TrainingCurve:
    """A training at its marks. loss: held-out, of each; memorized: [mark, row of the panel]."""

    loss: Float64
    memorized: Float64

    def last_at(self, loss: float) -> float | None:
        """Return when the held-out loss last was so high, in marks; None when it never was."""
        for place in range(len(self.loss) - 1, 0, -1):
            before, after = float(self.loss[place - 1]), float(self.loss[place])
            if min(before, after) <= loss <= max(before, after):
                return place - 1 + (loss - before) / (after - before) if after != before else place
        return None

    def at(self, time: float) -> Float64:
        """Return the memorized share of each row at a time in marks, interpolated between two."""
        before = min(int(time), len(self.loss) - 2)
        share = time - before
        return np.asarray((1 - share) * self.memorized[before] + share * self.memorized[before + 1])


def same_loss(one: TrainingCurve, other: TrainingCurve) -> tuple[float, float, float] | None:
    """Return a held-out loss that both had, and when each last had it; None when there is none.

    Of the two final losses it is the one at which the other course is furthest on. Small models on
    little text overfit: then losses rise at the end, and the comparison is on the rising side.
    """
    found: list[tuple[float, float, float]] = []
    for level in (float(one.loss[-1]), float(other.loss[-1])):
        times = one.last_at(level), other.last_at(level)
        if times[0] is not None and times[1] is not None:
            found.append((level, times[0], times[1]))
    return max(found, key=lambda pair: min(pair[1:]), default=None)


def training_curve(tables: Sequence[pa.Table], found: Evidence) -> TrainingCurve:
    """Return the losses and labels of a training at its marks, on the panel."""
    rows = len(found.truth)
    held = (found.kind == "natural") & ~found.trained
    loss = [float(table["mean_nll"].to_numpy()[:rows][held].mean()) for table in tables]
    labels = np.stack([table["memorized"].to_numpy()[:rows] for table in tables])
    return TrainingCurve(np.array(loss), labels.astype(np.float64))


def compared(
    arm: Arm, plain: Sequence[pa.Table], own: Sequence[pa.Table], found: Evidence, config: Config
) -> list[dict[str, Any]]:
    """Return a row per basis of comparison and group of the panel's rows."""
    target, other = training_curve(plain, found), training_curve(own, found)
    sides = {EQUAL_TOKENS: (target.memorized[-1], other.memorized[-1])}
    same = same_loss(target, other)
    if same is not None:
        sides[EQUAL_LOSS] = (target.at(same[1]), other.at(same[2]))
    gone = arm.gone[found.document]
    groups = {
        "all": found.trained,
        "retained": found.trained & ~gone,
        "removed": found.trained & gone,
        "all but canaries": found.trained & (found.kind != "canary"),
    }
    about = {
        "arm": arm.name,
        "rows_removed": arm.rows_removed,
        "held_out_loss_target": float(target.loss[-1]),
        "held_out_loss_arm": float(other.loss[-1]),
        "compared_at_loss": same[0] if same is not None else None,
    }
    return [
        {**about, "basis": basis, "rows": group, **_drop(*both, rows, found, config)}
        for basis, both in sides.items()
        for group, rows in groups.items()
        if rows.any()
    ]


def _drop(
    plain: Float64, own: Float64, rows: Flags, found: Evidence, config: Config
) -> dict[str, Any]:
    """Return both shares and by what share of the plain one the arm's is lower."""
    sample = JudgedSample(found.truth[rows], found.unit_number[rows], found.weight[rows])
    shares = [
        ((weight * plain[rows]).sum(1), (weight * own[rows]).sum(1), weight.sum(1))
        for weight in sample.blocks(config.backtest.draws, config.proxy.seed, BLOCK)
    ]
    of_plain, of_own, total = (np.concatenate(values) for values in zip(*shares, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        drop, low, high = metrics.interval(1.0 - of_own / of_plain)
    return {
        "sequences": int(rows.sum()),
        "share_target": float(of_plain[0] / total[0]),
        "share_arm": float(of_own[0] / total[0]),
        "drop": _finite(drop),
        "drop_low": _finite(low),
        "drop_high": _finite(high),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
