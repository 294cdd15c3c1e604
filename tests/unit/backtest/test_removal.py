"""What must go for 2, 5 and 10 times less: the search, what is asked, what is said of it."""

from collections import Counter
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from pipeline.backtest.arms import removal, reserve
from pipeline.backtest.arms.arms import plan
from pipeline.backtest.arms.policies import TaughtRows, expected_gain, guessed
from pipeline.backtest.arms.removal import (
    Answer,
    Asked,
    Found,
    RemovalArm,
    asked_of,
    counted_shares,
    next_share,
    searched,
)
from pipeline.backtest.arms.removal_results import removal_arm_rows, removal_rows
from pipeline.backtest.judgement.measures import Bootstrap
from pipeline.backtest.training.trainings import targets_of
from pipeline.score.proxy.model import Shape

Counted = dict[str, dict[int, float | None]]


class DoseTrainer:
    """A trainer whose models memorize each row that they were taught eight times or more.

    Some rows they recite without having been taught them, where they are given.
    """

    def __init__(self, easy=()) -> None:
        self.trained: list[str] = []
        self.easy = {row.tobytes() for row in easy}

    def train(self, trainings):
        """Return the trainings as their outputs."""
        self.trained += [one.name for one in trainings]
        return list(trainings)

    def score(self, wanted, rows, _of):
        """Return the tables of what each memorized."""
        found = []
        for one, _, _ in wanted:
            taught = Counter(row.tobytes() for row in one.rows)
            keys = [row.tobytes() for row in rows]
            memorized = np.array([key in self.easy or taught[key] >= 8 for key in keys])
            loss = np.full(len(rows), 3.0, np.float32)
            columns = {"memorized": memorized, "log_p_z": loss, "margin": loss, "mean_nll": loss}
            found.append(SimpleNamespace(table=partial(_table, pa.table(columns))))
        return found


def _table(table, _schema):
    return table


@pytest.fixture
def plain(subject):
    """Return the trainings of a target without an arm, of two seeds."""
    return targets_of(subject, [Shape(subject.vocabulary, 2, 64)], [2, 3])


@pytest.fixture
def planned(subject, config, plain, monkeypatch):
    """Return what a search begins with, by a forecast that is right about `DoseTrainer`."""
    monkeypatch.setattr(reserve, "LEAST_FAMILIES", 20)
    risk = (subject.panel.top.dose >= 8).astype(float)
    return plan(subject, config, ["removal"], plain[0], risk)


def test_arms_confirm_the_counted_share_or_move_it():
    """One curve where what stays is forgotten too, one where it is remembered better."""
    asked = []

    def left(points):
        asked.extend(points)
        return [
            max(0.0, 1 - 9.9 * share) if policy == "risk" else 1 - share for policy, share in points
        ]

    counted: Counted = {"risk": {2: 0.2, 10: 0.2}, "random": {2: 0.5, 10: 0.9}, "count": {2: None}}
    tried = searched(counted, left, 6)
    assert tried["risk"][0.2] == 0.0  # the first share is the counted one
    enough = [min(s for s, part in tried["risk"].items() if part * n <= 1) for n in (2, 10)]
    assert enough == [0.06, 0.13]  # the curve says .051 and .091
    assert {*tried["risk"]} == {0.2, 0.13, 0.09, 0.06, 0.04}
    assert [*tried["random"]] == [0.5, 0.33]  # no more than half of the tokens is tried
    assert [*tried["count"]] == [0.5, 0.33]
    assert len(asked) == len(set(asked)) == sum(len(found) for found in tried.values())
    assert all(len(found) <= 6 for found in tried.values())
    assert [*searched(counted, left, 1)["risk"]] == [0.2]


def test_a_share_follows_from_what_was_tried():
    """Half as much again above what is too little, less below what is enough, until they meet."""
    assert next_share(0.123, {}, 10) == 0.13
    assert next_share(0.123, {0.13: 0.3}, 10) == 0.2
    assert next_share(0.3, {0.13: 0.3}, 10) == 0.3
    assert next_share(0.123, {0.13: 0.1}, 10) == 0.09
    assert next_share(0.123, {0.13: 0.3, 0.2: 0.05}, 10) is None
    assert next_share(0.123, {0.13: 0.3, 0.3: 0.05}, 10) == 0.2
    assert next_share(0.123, {0.5: 0.3}, 10) is None
    assert next_share(None, {}, 10) == 0.5
    assert next_share(0.004, {}, 2) == 0.01
    assert next_share(0.004, {0.01: 0.3}, 2) is None


def test_a_share_is_counted_by_what_stays(subject, planned):
    """With what is repeated memorized, fewer rows need go by count than at random."""
    asked = asked_of(subject, planned)
    counted = counted_shares(planned, asked, asked.times >= 4)
    shares = {name: [share or 0.0 for share in of.values()] for name, of in counted.items()}
    assert 0 < shares["count"][-1] <= shares["random"][-1]
    assert sorted(shares["risk"]) == shares["risk"]
    nothing = counted_shares(planned, asked, np.zeros(len(asked.times), np.bool_))
    assert set(nothing["risk"].values()) == {None}


def test_every_text_of_the_sample_is_asked_for_once(subject, planned):
    """Distinct rows with the times that each is taught, plants, refill and held-out rows apart."""
    asked = asked_of(subject, planned)
    taught = len(planned.rows.family)
    assert asked.times.sum() == taught
    assert asked.times.max() == 10
    parts = asked.parts(7)
    assert len(np.unique(asked.rows[parts["natural"]], axis=0)) == len(asked.times)
    levels = [parts[f"natural, {name}"] for name in ("once", "2 to 7", "8 and more")]
    assert np.array_equal(np.sort(np.concatenate(levels)), parts["natural"])
    assert len(parts["refilled with"]) == 7
    assert len(parts["plants, which stay"]) == subject.panel.planted.sum()
    assert np.array_equal(asked.rows[parts["held out"]], planned.reserve.held)
    assert not np.isin(asked.unit[parts["natural"]], asked.unit[parts["plants, which stay"]]).any()


def test_a_search_trains_arms_and_confirms_with_the_other_seed(subject, planned, plain):
    """A forecast that is right needs what is memorized to go and no more; random needs half."""
    trainer = DoseTrainer()
    found = removal.removal(subject, planned, plain, trainer, 6)  # type: ignore[arg-type]
    assert len(trainer.trained) == len(set(trainer.trained))
    assert len(trainer.trained) <= 2 + removal.most_arms(planned, 6, 2)
    draw = Bootstrap(found.asked.unit, 100, 1)
    rows = {(row["policy"], row["times_less"]): row for row in removal_rows(found, draw, 2_048)}
    risk, random = rows["risk", 10], rows["random", 10]
    repeated = np.isin(planned.rows.family, found.asked.family[found.asked.times >= 8])
    assert repeated.mean() * 0.8 < risk["share_of_tokens"] <= repeated.mean() * 1.5
    assert (risk["seeds"], risk["seeds_enough"], risk["left"]) == (2, 2, 0.0)
    assert random["share_of_tokens"] is None
    assert random["share_too_small"] > 0.4
    own = next(one for one in found.arms if one.policy == "filter")
    assert len(own.answers) == 2
    assert not own.answers[0].memorized[: len(found.asked.times)].any()  # one copy stays
    assert not found.asked.guessed.any()


def test_what_a_model_recites_that_never_saw_it_is_no_memory(subject, planned, plain):
    """Each unit is left out of the teaching of one model; what that recites is in no figure."""
    asked = asked_of(subject, planned)
    easy = np.flatnonzero(asked.times == 1)[::9]
    trainer = DoseTrainer(asked.rows[easy])
    found = removal.removal(subject, planned, plain, trainer, 2)  # type: ignore[arg-type]
    names = [f"arm-unseen-{part}-s{seed}" for seed in (2, 3) for part in (0, 1)]
    assert [name for name in trainer.trained if "unseen" in name] == names
    assert np.array_equal(np.flatnonzero(found.asked.guessed), easy)
    assert found.plain[0].memorized[easy].all()
    parts = found.asked.parts(0)
    assert not np.isin(parts["natural"], easy).any()
    assert np.array_equal(parts["natural, guessed"], easy)
    rows = {(row["policy"], row["times_less"]): row
            for row in removal_rows(found, Bootstrap(found.asked.unit, 100, 1), 2_048)}  # fmt: skip
    assert rows["risk", 10]["left"] == 0.0  # though what is easy is recited by every arm


def test_copies_count_once_and_their_rows_all():
    """A text of four copies avoids one memorized sequence by four rows; unscored ones none."""
    rows = TaughtRows(
        document=np.array([0, 0, 0, 0, 1, 2]),
        copy=np.array([0, 1, 2, 3, 0, 0]),
        start=np.zeros(6, np.int64),
        family=np.array([0, 0, 0, 0, 1, 2]),
    )
    gain = expected_gain(rows, np.array([0, 1]), np.array([0.8, 0.3]), 3)
    assert gain.tolist() == [0.8 / 4, 0.3, 0.0]


def test_what_is_guessed_is_worth_no_row(subject):
    """A sequence that a proxy recites without having been taught it; not one that saw it."""
    panel = subject.panel
    half = next(one for one in panel.proxies if one.role == "half")
    place = int(np.flatnonzero(~half.taught)[0])
    seen = int(np.flatnonzero(half.taught)[0])
    memorized = np.zeros(len(panel.count), np.bool_)
    memorized[[place, seen]] = True
    one = replace(half, memorized=memorized)
    assert np.flatnonzero(guessed(replace(panel, proxies=(one,)))).tolist() == [place]


def test_what_is_said_of_a_search():
    """The least share that was enough, what too little was, and the other seed beside it."""
    asked_for, nothing = np.zeros((8, 65), np.int64), np.zeros(4, np.bool_)
    asked = Asked(
        asked_for, np.arange(4), np.array([1, 1, 2, 8]), np.arange(4), np.arange(5), 2, nothing
    )

    def answer(*memorized, loss=3.0):
        return Answer(np.array([*memorized, *[False] * (8 - len(memorized))]), loss)

    plain = answer(True, True, True, True, True)
    half, none = answer(True, True), answer()
    arms = (
        RemovalArm("risk", 0.1, 10, (answer(True, True, True),)),
        RemovalArm("risk", 0.2, 20, (half, answer(True, True, True))),
        RemovalArm("risk", 0.3, 30, (none, none)),
        RemovalArm("risk", 0.05, 5, (answer(loss=3.2),)),  # spoilt: not enough
    )
    counted: Counted = {"risk": {2: 0.15, 5: None, 10: None}, "random": {2: None}}
    found = Found(asked, 100, (plain, plain), (2, 3), counted, arms)
    draw = Bootstrap(asked.unit, 100, 1)
    two, five, ten, random = removal_rows(found, draw, 2_048)
    assert (two["share_of_tokens"], two["share_too_small"]) == (0.2, 0.1)
    assert (two["left"], two["seeds"], two["seeds_enough"]) == (5 / 8, 2, 1)
    assert two["left_low"] <= two["left"] <= two["left_high"]
    assert (five["share_of_tokens"], ten["share_of_tokens"]) == (0.3, 0.3)
    assert ten["left"] == 0.0
    assert (random["share_of_tokens"], random["left"], random["loss_arm"]) == (None, None, None)
    rows = {(r["policy"], r["share_of_tokens"], r["seed"], r["rows"]): r
            for r in removal_arm_rows(found, draw, 2_048)}  # fmt: skip
    assert rows["risk", 0.2, 2, "natural"]["memorized_arm"] == 2
    assert rows["risk", 0.2, 2, "natural, 8 and more"]["left"] == 0.0
    assert rows["risk", 0.2, 2, "plants, which stay"]["memorized_target"] == 1
    assert rows["risk", 0.2, 2, "refilled with"]["left"] is None
    assert rows["risk", 0.05, 2, "natural"]["verdict"] == "spoilt the model"
