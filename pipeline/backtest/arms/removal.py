"""What share of the tokens each policy must remove for 2, 5 and 10 times less memorized.

Found by training: the plain target is trained again on what a policy leaves at some share, refilled
to as many tokens, and asked for every text of the sample. The first share is the one at which the
plain target's own labels say that enough is gone, as if what stays were remembered as before; the
arms confirm it or move it. `filter` is what the run's own filter took, at its one share.

Text that can be guessed is recited by a model that never saw it, and no removal takes that away. So
each plain target has PARTS others beside it, of its weights and order, each of which was not taught
a part of the units; what any of them recites of that part counts as nobody's memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.backtest.arms.arms import MOST_SHARE, REMOVAL_ARM, Planned, refilled
from pipeline.backtest.arms.policies import gone_by_order
from pipeline.backtest.subject import Subject
from pipeline.backtest.training.trainings import FINAL, Trainer, Training
from pipeline.backtest.units import PARTS, parts_of
from pipeline.text.arrays import Flags, Int64
from schemas.backtest import SCORES

FACTORS = (2, 5, 10)
GRID = 0.01  # shares are multiples of it
STEP = 1.5  # from a share to the next, up or down; nearer ones differ less than two trainings do
REFILL = 1_000  # rows refilled with that are asked for
FILTER = "filter"
Point = tuple[str, float]  # a policy and a share


@dataclass(frozen=True)
class Asked:
    """What every model of the search is asked for.

    Attributes:
        rows: distinct rows of the sample, then the plants, rows refilled with, rows held out,
            (asked, 65).
        first: row of the sample that each distinct one stands for, (natural,).
        times: that an epoch teaches each of these, (natural,).
        family: number of the family of each, (natural,).
        unit: of these and the plants, which the bootstrap takes as one, (natural + plants,).
        refill: how many of the rows are of what arms are refilled with.
        guessed: of each distinct row of the sample, whether a model that was not taught its unit
            recites it, (natural,).
    """

    rows: Int64
    first: Int64
    times: Int64
    family: Int64
    unit: Int64
    refill: int
    guessed: Flags

    def parts(self, taken: int) -> dict[str, Int64]:
        """Return the places of each group of rows, in the order of the tables.

        Args:
            taken: rows that an arm took out, so that it was taught as many of the refill.
        """
        natural = np.flatnonzero(~self.guessed)
        times = self.times[natural]
        plants = np.arange(len(self.times), len(self.unit))
        first = len(self.unit)
        return {
            "natural": natural,
            "natural, once": natural[times == 1],
            "natural, 2 to 7": natural[(times > 1) & (times < 8)],
            "natural, 8 and more": natural[times >= 8],
            "natural, guessed": np.flatnonzero(self.guessed),
            "plants, which stay": plants,
            "refilled with": np.arange(first, first + min(taken, self.refill)),
            "held out": np.arange(first + self.refill, len(self.rows)),
        }


@dataclass(frozen=True)
class Answer:
    """What one model remembers.

    Attributes:
        memorized: of each asked row, (asked,).
        loss: mean over the rows held out, nats per token.
    """

    memorized: Flags
    loss: float


@dataclass(frozen=True)
class RemovalArm:
    """One share of one policy, with what its model of each seed remembers.

    Attributes:
        policy: its name.
        share: of the tokens that may go; of the filter, that do.
        taken: rows that go.
        answers: of each seed that was trained, the first seed's first.
    """

    policy: str
    share: float
    taken: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        asked: what the models were asked for.
        rows: of the sample, each of as many tokens.
        plain: what the target without an arm remembers, of each seed.
        seeds: of these.
        counted: by policy and factor the share at which the labels of the first plain target say
            that enough is gone; None where they never do.
        arms: all that was trained, by policy and share.
    """

    asked: Asked
    rows: int
    plain: tuple[Answer, ...]
    seeds: tuple[int, ...]
    counted: Mapping[str, Mapping[int, float | None]]
    arms: tuple[RemovalArm, ...]


def most_arms(planned: Planned, most: int, seeds: int) -> int:
    """Return how many trainings a search takes at most, besides those of the plain target.

    Args:
        planned: the arms.
        most: of each policy with the first seed.
        seeds: of the plain target.
    """
    first = most * len(planned.orders)
    confirmed = len(FACTORS) * len(planned.orders)
    own = 0 if planned.filtered is None else 1
    return first + own + (seeds - 1) * (confirmed + own) + PARTS * seeds


def asked_of(subject: Subject, planned: Planned) -> Asked:
    """Return what every model of the search is asked for, nothing of it guessed so far."""
    taught = subject.rows[: len(planned.rows.document)]  # rows of the sample come first
    natural, first, times = np.unique(taught, axis=0, return_index=True, return_counts=True)
    family = planned.rows.family[first]
    own = planned.unit[first]
    plants = subject.panel.planted
    refill = planned.reserve.refill[:REFILL]
    parts = (natural, subject.panel_rows[plants], refill, planned.reserve.held)
    unit = np.concatenate((own, own.max(initial=0) + 1 + subject.unit[plants]))
    nothing = np.zeros(len(times), np.bool_)
    return Asked(np.concatenate(parts), first, times, family, unit, len(refill), nothing)


def removal(
    subject: Subject, planned: Planned, plain: Sequence[Training], trainer: Trainer, most: int
) -> Found:
    """Search with the first seed, then train what was found with every other one.

    Args:
        subject: the run.
        planned: the rows of the sample, the order of each policy, what is refilled from.
        plain: the target without an arm, of each seed.
        trainer: trains and scores; what is there already is not done again.
        most: trainings of a policy with the first seed.
    """
    of = _Arms(subject, planned, asked_of(subject, planned), trainer)
    before = of.answers(plain)
    asked = replace(of.asked, guessed=of.guessed(plain))
    lost = before[0].memorized[: len(asked.times)] & ~asked.guessed
    counted = counted_shares(planned, asked, lost)
    found: dict[Point, list[Answer]] = {}

    def left(points: Sequence[Point]) -> list[float]:
        first = of.trained(points, plain[0])
        found.update({point: [one] for point, one in zip(points, first, strict=True)})
        still = [one.memorized[: len(lost)] & ~asked.guessed for one in first]
        return [float(one.sum() / lost.sum()) for one in still]

    tried = searched(counted, left, most) if lost.any() else {}
    confirmed = [point for point in found if least_enough(point, tried)]
    if planned.filtered is not None:
        point = FILTER, float(planned.filtered.mean())
        found[point] = of.trained([point], plain[0])
        confirmed.append(point)
    for other in plain[1:]:
        for point, one in zip(confirmed, of.trained(confirmed, other), strict=True):
            found[point].append(one)
    seeds = tuple(one.seed for one in plain)
    arms = tuple(
        RemovalArm(policy, share, int(of.gone(policy, share).sum()), tuple(answers))
        for (policy, share), answers in sorted(found.items())
    )
    return Found(asked, len(planned.rows.family), tuple(before), seeds, counted, arms)


@dataclass(frozen=True)
class _Arms:
    """What trains arms and asks them.

    Attributes:
        subject: the run.
        planned: the rows, the orders, what is refilled from.
        asked: what each model is asked for.
        trainer: trains and scores.
    """

    subject: Subject
    planned: Planned
    asked: Asked
    trainer: Trainer

    def gone(self, policy: str, share: float) -> Flags:
        """Return which rows of the sample a policy takes out at a share, (rows,)."""
        if policy == FILTER and self.planned.filtered is not None:
            return self.planned.filtered
        budget = int(share * len(self.planned.rows.family))
        return gone_by_order(self.planned.rows, self.planned.orders[policy], budget)

    def trained(self, points: Sequence[Point], of: Training) -> list[Answer]:
        """Return what the arms of some points remember, on the seed of a plain target."""
        refill = self.planned.reserve
        return self.answers(
            [
                refilled(self.subject, of, _name(*point), self.gone(*point), refill)
                for point in points
            ]
        )

    def guessed(self, plain: Sequence[Training]) -> Flags:
        """Return what is recited by a model that was not taught its unit, (natural,)."""
        part = parts_of(self.planned.unit)
        own = part[self.asked.first]
        jobs = [(one, number) for one in plain for number in range(PARTS)]
        found = self.answers(
            [
                refilled(self.subject, one, f"unseen-{n}", part == n, self.planned.reserve)
                for one, n in jobs
            ]
        )
        pairs = zip(jobs, found, strict=True)
        flags = [(own == n) & answer.memorized[: len(own)] for (_, n), answer in pairs]
        return np.asarray(np.any(flags, axis=0))

    def answers(self, trainings: Sequence[Training]) -> list[Answer]:
        """Return what some models remember, trained or not yet."""
        outputs = self.trainer.train(trainings)
        wanted = [(one, output, FINAL) for one, output in zip(trainings, outputs, strict=True)]
        scored = self.trainer.score(wanted, self.asked.rows, REMOVAL_ARM)
        held = self.asked.parts(0)["held out"]
        return [
            Answer(one["memorized"].to_numpy(), float(one["mean_nll"].to_numpy()[held].mean()))
            for one in (output.table(SCORES) for output in scored)
        ]


def counted_shares(
    planned: Planned, asked: Asked, memorized: Flags
) -> dict[str, dict[int, float | None]]:
    """Return by policy and factor the share of tokens with which enough of the memorized goes.

    As if what stays were memorized as before: no model is trained for it.

    Args:
        planned: the rows and the order of each policy.
        asked: what was asked for.
        memorized: by the plain target and not guessed, of each distinct row of the sample,
            (natural,).
    """
    size = np.bincount(planned.rows.family)
    lost = np.bincount(asked.family[memorized], minlength=len(size))
    shares: dict[str, dict[int, float | None]] = {}
    for name, order in planned.orders.items():
        left = memorized.sum() - np.cumsum(lost[order])
        taken = np.cumsum(size[order]) / max(1, len(planned.rows.family))
        shares[name] = {}
        for factor in FACTORS:
            enough = np.flatnonzero(left * factor <= memorized.sum())
            known = memorized.any() and len(enough)
            shares[name][factor] = float(taken[enough[0]]) if known else None
    return shares


def searched(
    counted: Mapping[str, Mapping[int, float | None]],
    left: Callable[[Sequence[Point]], Sequence[float]],
    most: int,
) -> dict[str, dict[float, float]]:
    """Return what is left at each share that was tried, by policy; all due ones at a time.

    Args:
        counted: the share to begin with, by policy and factor; None for none.
        left: trains arms and returns which part of what was memorized each still does.
        most: shares of a policy that are tried.
    """
    tried: dict[str, dict[float, float]] = {policy: {} for policy in counted}
    while points := _due(counted, tried, most):
        for (policy, share), found in zip(points, left(points), strict=True):
            tried[policy][share] = found
    return tried


def _due(
    counted: Mapping[str, Mapping[int, float | None]],
    tried: Mapping[str, Mapping[float, float]],
    most: int,
) -> list[Point]:
    """Return the shares to try next, each once, the largest factor's first."""
    points: dict[Point, None] = {}
    for policy, by_factor in counted.items():
        for factor, first in sorted(by_factor.items(), reverse=True):
            share = next_share(first, tried[policy], factor)
            room = most - len(tried[policy]) - sum(name == policy for name, _ in points)
            if share is not None and ((policy, share) in points or room > 0):
                points[policy, share] = None
    return list(points)


def next_share(first: float | None, tried: Mapping[float, float], factor: int) -> float | None:
    """Return the share to try next for a factor; None when it is known, or cannot be reached.

    Args:
        first: that is counted; None for none.
        tried: what is left of the memorized at each share that was tried.
        factor: times less that is wanted.
    """
    enough = min((share for share, left in tried.items() if left * factor <= 1), default=None)
    below = [
        share
        for share, left in tried.items()
        if left * factor > 1 and (enough is None or share < enough)
    ]
    low = max(below, default=0.0)
    if enough is None:
        share = first if first is not None and first > low else (low * STEP or MOST_SHARE)
        share = min(MOST_SHARE, _on_grid(math.ceil(share / GRID - 1e-9)))
    else:
        share = max(low, _on_grid(round(enough / STEP / GRID)))
    return None if share in tried else share


def _on_grid(steps: int) -> float:
    """Return the share of so many steps of the grid, one at least."""
    return round(max(1, steps) * GRID, 6)


def least_enough(point: Point, tried: Mapping[str, Mapping[float, float]]) -> bool:
    """Return whether a share is the least that was enough for some factor."""
    policy, share = point
    for factor in FACTORS:
        enough = [other for other, left in tried[policy].items() if left * factor <= 1]
        if enough and min(enough) == share:
            return True
    return False


def _name(policy: str, share: float) -> str:
    """Return the name of an arm; that of the filter is the one of the arm `filter`."""
    return policy if policy == FILTER else f"{policy}-{round(1_000 * share):03d}"
