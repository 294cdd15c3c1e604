"""Train the arms: the plain target once more, on other rows or with another loss.

`filter` takes out what the run's own filter does, copy by copy and span by span; `random`, `count`
and `risk` take out as many rows, whole families. What goes is refilled, row by row, from families
that no model was taught, so every arm sees as many tokens in the same order. `goldfish` leaves out
of the loss what the run's loss mask does; `sinks` gives each text neurons of its own, by `sink_id`
where the run has it, which are dropped at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.backtest.arms.goldfish import goldfish_settings, rows_in_the_loss
from pipeline.backtest.arms.policies import (
    TaughtRows,
    families_in_order,
    gone_by_filter,
    gone_by_order,
    row_keys,
    taught_rows,
)
from pipeline.backtest.arms.reserve import Reserve, reserve_of
from pipeline.backtest.arms.retention import RETENTION_ARM, rows_needed
from pipeline.backtest.subject import Subject
from pipeline.backtest.training.trainings import Training, order_of
from pipeline.backtest.units import parts_of, units_of
from pipeline.config.sections import Config
from pipeline.errors import ConfigError
from pipeline.filter.mitigations.token_kernels import in_the_loss
from pipeline.text.arrays import Flags, Float64, Int64, Uint64
from pipeline.text.hashing import keyed_hash

ARMS = ("filter", "random", "count", "risk", "goldfish", "sinks")
REMOVING = ARMS[:4]
REMOVAL_ARM = "removal"  # no one training but a search (`pipeline.backtest.arms.removal`)
MOST_SHARE = 0.5  # of the rows that the search takes out: more is no filter
_PLANTS = 35  # seed of the hash


@dataclass(frozen=True)
class Arm:
    """One arm of the back-test.

    Attributes:
        name: its name.
        gone: rows of the sample that it takes out and refills, (rows,).
        training: of its model.
    """

    name: str
    gone: Flags
    training: Training


@dataclass(frozen=True)
class Planned:
    """The arms of a back-test before they are trained.

    Attributes:
        rows: of the sample, with the text that each is of.
        unit: of each of these, which hold the same text, (rows,).
        arms: the arms that were asked for.
        orders: families in the order in which each policy removes them.
        reserve: what is refilled from, and what the loss is measured on.
        filtered: rows that the run's own filter takes out, (rows,); None where it was not run.
    """

    rows: TaughtRows
    unit: Int64
    arms: Sequence[Arm]
    orders: dict[str, Int64]
    reserve: Reserve
    filtered: Flags | None


def require_arms(names: Sequence[str]) -> None:
    """Refuse arms that do not exist.

    Raises:
        ConfigError: When a name is no arm's.
    """
    every = (*ARMS, REMOVAL_ARM, RETENTION_ARM)
    unknown = [name for name in names if name not in every]
    if unknown:
        raise ConfigError(
            "There is no such arm of the back-test.",
            where=f"--arms {','.join(names)}",
            found=", ".join(unknown),
            expected=", ".join(every),
            fix="name some of these, separated by commas",
        )


def plan(
    subject: Subject, config: Config, names: Sequence[str], plain: Training, risk: Float64
) -> Planned:
    """Return the arms that were asked for, each with its training.

    Args:
        subject: the run.
        config: the settings.
        names: of the arms.
        plain: the training of the target without an arm.
        risk: forecast of each sequence of the panel for that target, (sequences,).

    Raises:
        ConfigError: when the arm `filter` is asked for and the run was not filtered.
        InputError: when there is too little text to refill from.
    """
    rows = taught_rows(subject)
    unit = units_of(rows.family, subject.rows[: len(rows.family)])[rows.family]
    orders = families_in_order(subject, rows, risk, config.proxy.seed)
    filtered = _filtered(subject, rows, required="filter" in names)
    budget = int(config.backtest.filter_share * len(rows.document))
    budget = int(filtered.sum()) if filtered is not None and filtered.any() else budget
    gone = {name: gone_by_order(rows, order, budget) for name, order in orders.items()}
    if filtered is not None:
        gone["filter"] = filtered
    most = max((int(gone[name].sum()) for name in names if name in REMOVING), default=0)
    if REMOVAL_ARM in names:
        most = max(
            most,
            int(MOST_SHARE * len(rows.document)),
            int(np.bincount(parts_of(unit)).max(initial=0)),
            0 if filtered is None else int(filtered.sum()),
        )
    if RETENTION_ARM in names:
        most = max(most, rows_needed(config.proxy.batch))
    reserve = reserve_of(subject, most)
    none = np.zeros(len(rows.document), np.bool_)
    arms = [
        Arm(name, gone.get(name, none), _training(subject, config, name, plain, gone, reserve))
        for name in ARMS
        if name in names
    ]
    return Planned(rows, unit, arms, orders, reserve, filtered)


def _filtered(subject: Subject, rows: TaughtRows, *, required: bool) -> Flags | None:
    """Return which rows the run's filter takes out; None where it was not filtered.

    Raises:
        ConfigError: when it was not, and the arm is asked for.
    """
    if subject.decided is not None:
        return gone_by_filter(subject, rows, *subject.decided)
    if required:
        raise ConfigError(
            "The arm `filter` trains on what the run's own filter keeps, and there is none.",
            where=str(subject.work.folder),
            found="decisions are missing or of other settings",
            expected="a finished filter",
            fix=f"rote filter {subject.work.folder}, or leave the arm out",
        )
    return None


def _training(
    subject: Subject,
    config: Config,
    name: str,
    plain: Training,
    gone: dict[str, Flags],
    reserve: Reserve,
) -> Training:
    """Return the training of an arm, in the order of the plain one."""
    order = order_of(len(subject.rows), plain.seed)
    named = replace(plain, name=f"arm-{name}-s{plain.seed}")
    if name == "sinks":
        return replace(named, sinks=sinks_of(subject)[order])
    if name == "goldfish":
        return replace(named, keep=_in_the_loss(subject, config)[order])
    return refilled(subject, plain, name, gone[name], reserve)


def refilled(
    subject: Subject, plain: Training, name: str, gone: Flags, reserve: Reserve
) -> Training:
    """Return the training of a target on the sample less some rows, each refilled in its place.

    Args:
        subject: the run.
        plain: the same target without an arm.
        name: of the arm.
        gone: rows of the sample that go, (rows,).
        reserve: what is refilled from.
    """
    rows = subject.rows.copy()
    places = np.flatnonzero(gone)  # rows of the sample come first
    rows[places] = reserve.refill[: len(places)]
    order = order_of(len(rows), plain.seed)
    return replace(plain, name=f"arm-{name}-s{plain.seed}", rows=rows[order])


def sinks_of(subject: Subject) -> Uint64:
    """Return the sink of each row that is taught, (rows,): the `sink_id` that kept/ has for it.

    A hash of its text where the run gave none, and for plants, which are no rows of the corpus.
    """
    rows = taught_rows(subject)
    sinks = subject.material.known.text_key[rows.document]
    if subject.decided is not None and not subject.decided[0]["sink_id"].null_count:
        decisions = subject.decided[0]
        place = np.searchsorted(decisions["row_key"].to_numpy(), row_keys(subject, rows))
        sinks = decisions["sink_id"].to_numpy()[place]
    _, own = np.unique(subject.rows[len(sinks) :], axis=0, return_inverse=True)
    return np.concatenate((sinks, keyed_hash(own.ravel().astype(np.uint64), _PLANTS)))


def _in_the_loss(subject: Subject, config: Config) -> Flags:
    """Return which tokens of each row count in the loss: the mask that the filter writes."""
    k, h = goldfish_settings(config)
    rows = taught_rows(subject)
    every = np.ones(len(subject.material.known.family), np.bool_)
    natural = rows_in_the_loss(subject.material.texts, rows.document, rows.start, every, k, h)
    planted = subject.rows[len(natural) :, 1:].astype(np.uint64)
    masks = [in_the_loss(row, k, h) == 1 for row in planted]
    return np.concatenate((natural, np.array(masks, np.bool_).reshape(len(planted), -1)))
