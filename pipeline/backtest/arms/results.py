"""Compare arms with the plain target: at equal tokens, and at equal held-out loss."""

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
    """One arm of the back-test.

    Attributes:
        name: its name.
        gone: whether it removed each document of the back-test's corpus.
        rows_removed: training rows that it removed and refilled.
    """

    name: str
    gone: Flags  # (documents,)
    rows_removed: int


@dataclass(frozen=True)
class TrainingCurve:
    """What a training had learnt at each of its marks.

    Attributes:
        loss: held-out loss, nats per token.
        memorized: 1 for each row of the panel that was memorized, else 0.
    """

    loss: Float64  # (marks,)
    memorized: Float64  # (marks, rows)

    def last_at(self, loss: float) -> float | None:
        """Return the last time, in marks, at which the held-out loss had a value; None if never."""
        for place in range(len(self.loss) - 1, 0, -1):
            before, after = float(self.loss[place - 1]), float(self.loss[place])
            if min(before, after) <= loss <= max(before, after):
                return place - 1 + (loss - before) / (after - before) if after != before else place
        return None

    def at(self, time: float) -> Float64:
        """Return how far each row is memorized at a time in marks, by interpolation, (rows,)."""
        before = min(int(time), len(self.loss) - 2)
        share = time - before
        return np.asarray((1 - share) * self.memorized[before] + share * self.memorized[before + 1])


def same_loss(one: TrainingCurve, other: TrainingCurve) -> tuple[float, float, float] | None:
    """Return a held-out loss that both trainings had, and when each last had it; None without one.

    It is one of the two final losses: the one that the other training had later. Small models on
    little text overfit: then losses rise at the end, and the comparison is on the rising side.
    """
    found: list[tuple[float, float, float]] = []
    for level in (float(one.loss[-1]), float(other.loss[-1])):
        times = one.last_at(level), other.last_at(level)
        if times[0] is not None and times[1] is not None:
            found.append((level, times[0], times[1]))
    return max(found, key=lambda pair: min(pair[1:]), default=None)


def training_curve(tables: Sequence[pa.Table], found: Evidence) -> TrainingCurve:
    """Return the held-out loss and the memorized rows of a training at its marks.

    Args:
        tables: its scores, one table per mark.
        found: what is known of each row of the panel; natural text not trained on is held out.
    """
    rows = len(found.truth)
    held = (found.kind == "natural") & ~found.trained
    loss = [float(table["mean_nll"].to_numpy()[:rows][held].mean()) for table in tables]
    labels = np.stack([table["memorized"].to_numpy()[:rows] for table in tables])
    return TrainingCurve(np.array(loss), labels.astype(np.float64))


def compared(
    arm: Arm, plain: Sequence[pa.Table], of_arm: Sequence[pa.Table], found: Evidence, config: Config
) -> list[dict[str, Any]]:
    """Return a row of `backtest_arms` per basis of comparison and group of the panel's rows.

    Args:
        arm: the arm.
        plain: the scores of the target without an arm, one table per mark.
        of_arm: the scores of the arm, likewise.
        found: what is known of each row of the panel.
        config: the settings; they give the draws of the bootstrap and the seed.
    """
    target, other = training_curve(plain, found), training_curve(of_arm, found)
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
    plain: Float64, of_arm: Float64, rows: Flags, found: Evidence, config: Config
) -> dict[str, Any]:
    """Return the shares memorized by target and arm, and the drop from one to the other."""
    sample = JudgedSample(found.truth[rows], found.unit_number[rows], found.weight[rows])
    shares = [
        ((weight * plain[rows]).sum(1), (weight * of_arm[rows]).sum(1), weight.sum(1))
        for weight in sample.blocks(config.backtest.draws, config.proxy.seed, BLOCK)
    ]
    by_plain, by_arm, total = (np.concatenate(values) for values in zip(*shares, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        drop, low, high = metrics.interval(1.0 - by_arm / by_plain)
    return {
        "sequences": int(rows.sum()),
        "share_target": float(by_plain[0] / total[0]),
        "share_arm": float(by_arm[0] / total[0]),
        "drop": _finite(drop),
        "drop_low": _finite(low),
        "drop_high": _finite(high),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
