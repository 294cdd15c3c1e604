"""The rows of `dynamics`: how plants are learnt, and forgotten again, in the course of a training.

At some moments the proxies of the ladder were asked for the plants of one text. How often each had
been taught by then, and how many steps ago, is known: the order of the rows is a hash's.
Recognition comes before recall, and wears off with the steps since the last time (Jagielski et al.
2022 measured that forgetting); so both are told, by dose so far and by steps since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.score.sequences.plants import EXACT, Plants
from pipeline.score.signals.wilson import wilson
from pipeline.text.arrays import Flags, Float64, Int64
from schemas.score.dynamics import DYNAMICS

if TYPE_CHECKING:
    from pipeline.score.proxy.ensemble import Proxy
    from pipeline.score.proxy.train import Mark, Schedule


@dataclass(frozen=True)
class Taught:
    """When a training teaches each asked text.

    Attributes:
        text: number of the text of each exposure, (exposures,).
        step: the step that it is in, from 0 on, (exposures,).
        texts: how many texts there are.
    """

    text: Int64
    step: Int64
    texts: int

    def times(self, steps: int) -> Int64:
        """Return how often each text was taught in the first steps, (texts,)."""
        return np.bincount(self.text[self.step < steps], minlength=self.texts)

    def since(self, steps: int) -> Int64:
        """Return the steps since the one that taught each last, (texts,); 0 where none did."""
        last = np.full(self.texts, steps, np.int64)
        before = self.step < steps
        order = np.argsort(self.step[before], kind="stable")
        last[self.text[before][order]] = self.step[before][order]
        return np.asarray(steps - last)


def asked_of(plants: Plants) -> Int64:
    """Return which texts are asked for, by number: those of clusters of one text, (asked,)."""
    return np.flatnonzero(plants.kind == EXACT)


def asked_rows(plants: Plants) -> Int64:
    """Return what is asked on the way, EOS and 64 tokens each, (asked, 65)."""
    return np.asarray(plants.tokens[asked_of(plants)])


def taught(plants: Plants, learnt: int, schedule: Schedule) -> Taught:
    """Return when a training on a sample and plants teaches each asked text.

    Args:
        plants: what is planted, behind the rows of the sample.
        learnt: rows of the sample.
        schedule: the course of the training.
    """
    from pipeline.score.proxy.train import epoch_order

    asked = asked_of(plants)
    place = np.full(len(plants.kind), -1, np.int64)
    place[asked] = np.arange(len(asked))
    times = np.where(plants.inside, plants.copies, 0)
    owner = np.concatenate((np.full(learnt, -1), np.repeat(place, times)))
    per_epoch = -(-len(owner) // schedule.rows)
    texts, steps = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for epoch in range(schedule.epochs):
        of_place = owner[epoch_order(len(owner), schedule.seed, epoch)]
        own = np.flatnonzero(of_place >= 0)
        texts.append(of_place[own])
        steps.append(epoch * per_epoch + own // schedule.rows)
    return Taught(np.concatenate(texts), np.concatenate(steps), len(asked))


def dynamics_table(
    plants: Plants, learnt: int, proxies: Sequence[Proxy], schedule: Schedule
) -> pa.Table:
    """Return the rows of `dynamics`; empty where nothing was asked on the way.

    Args:
        plants: what the trainings carried.
        learnt: rows of the sample.
        proxies: the trained models.
        schedule: the course of each training.
    """
    if not any(proxy.marks for proxy in proxies):
        return DYNAMICS.empty_table()
    when, inside = taught(plants, learnt, schedule), plants.inside[asked_of(plants)]
    rows = [
        {
            "proxy": proxy.name,
            "parameters": proxy.parameters,
            "steps": mark.steps,
            "share_of_training": mark.steps / proxy.marks[-1].steps,
            **row,
        }
        for proxy in proxies
        for sudden in [sudden_steps(proxy.marks)]
        for mark in proxy.marks
        for row in _groups(when, inside, mark, sudden)
    ]
    return pa.Table.from_pylist(rows, DYNAMICS)


def sudden_steps(marks: Sequence[Mark]) -> Float64:
    """Return the moment of each text before which its log p rose most, in steps, (asked,).

    What it rose before the first moment is not known. NaN with fewer than two moments. (Sudden
    confidence, as of over-memorized text.)
    """
    if len(marks) < 2:
        return np.full(len(marks[0].log_p) if marks else 0, np.nan)
    rises = np.diff(np.stack([mark.log_p.astype(np.float64) for mark in marks]), axis=0)
    steps = np.array([mark.steps for mark in marks[1:]], np.float64)
    return np.asarray(steps[rises.argmax(0)])


def _groups(when: Taught, inside: Flags, mark: Mark, sudden: Float64) -> Iterator[dict[str, Any]]:
    """Yield the rows of one proxy at one moment: never taught, by dose, by dose and steps since."""
    dose = _power(when.times(mark.steps))
    since = _power(when.since(mark.steps))
    never = ~inside

    def row(taught: int, ago: int | None, own: Flags) -> dict[str, Any]:
        log_p = mark.log_p.astype(np.float64)
        found = _row(taught, ago, own, mark.memorized, log_p, never)
        known = own.any() and not np.isnan(sudden).any()
        return {**found, "sudden_steps": float(np.median(sudden[own])) if known else None}

    yield row(0, None, never)
    for one in np.unique(dose[dose > 0]).tolist():
        own = dose == one
        yield row(one, None, own)
        for ago in np.unique(since[own]).tolist():
            yield row(one, ago, own & (since == ago))


def _power(count: Int64) -> Int64:
    """Return the largest power of two that is no larger than each count; 0 for 0."""
    return np.where(count > 0, 1 << np.floor(np.log2(np.maximum(count, 1))).astype(np.int64), 0)


def _row(
    dose: int, since: int | None, own: Flags, memorized: Flags, log_p: Float64, never: Flags
) -> dict[str, Any]:
    """Return the row of a group of texts."""
    count, hits = int(own.sum()), int(memorized[own].sum())
    low, high = wilson(hits, count)
    found = {
        "taught": dose,
        "steps_since": since,
        "texts": count,
        "memorized": hits,
        "low": low,
        "high": high,
        **dict.fromkeys(("auc", "auc_low", "auc_high")),
    }
    if dose and count and never.any():
        found |= dict(zip(("auc", "auc_low", "auc_high"), _auc(log_p, own, never), strict=True))
    return found


def _auc(log_p: Float64, own: Flags, never: Flags) -> tuple[float, float, float]:
    """Return the area under the curve of log p against texts never taught, with its 95% interval.

    The interval is by the standard error of Hanley and McNeil 1982, equations 1 and 2; where all
    or none are told apart, which leaves it no width, by the rule of three.
    """
    from scipy.stats import norm

    apart = log_p[own][:, None] - log_p[never][None, :]
    area = float(((apart > 0) + 0.5 * (apart == 0)).mean())
    first, second = area / (2.0 - area), 2.0 * area**2 / (1.0 + area)
    ours, others = apart.shape
    if area in (0.0, 1.0):
        half = 3.0 / min(ours, others)
    else:
        spread = area * (1 - area) + (ours - 1) * (first - area**2)
        spread += (others - 1) * (second - area**2)
        half = float(norm.ppf(0.975)) * float(np.sqrt(max(spread, 0.0) / (ours * others)))
    return area, max(0.0, area - half), min(1.0, area + half)
