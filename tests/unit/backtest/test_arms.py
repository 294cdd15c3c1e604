"""Arms: what each takes out of the taught rows, what it is refilled with, what is said of it."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.backtest.arms import reserve, retention
from pipeline.backtest.arms.arms import plan, require_arms, sinks_of
from pipeline.backtest.arms.policies import gone_by_order, row_keys, taught_rows
from pipeline.backtest.arms.results import BETTER, NOT_BETTER, SPOILT, verdict_of
from pipeline.backtest.subject import read_subject
from pipeline.backtest.training.trainings import targets_of
from pipeline.config.load import load_config
from pipeline.errors import ConfigError, InputError
from pipeline.score.proxy.model import Shape
from tests.unit.backtest.tiny import SCORED

REMOVING = ("filter", "random", "count", "risk")


@pytest.fixture
def plain(subject):
    """Return the training of a target without an arm."""
    return targets_of(subject, [Shape(subject.vocabulary, 2, 64)], [2])[0]


@pytest.fixture
def planned(subject, config, plain, monkeypatch):
    """Return all arms, by a forecast that follows the dose."""
    monkeypatch.setattr(reserve, "LEAST_FAMILIES", 20)
    dose = subject.panel.top.dose
    names = (*REMOVING, "goldfish", "sinks")
    return plan(subject, config, names, plain, dose / max(1, dose.max()))


def test_the_filter_arm_does_what_the_filter_decided(subject, planned):
    """Of copies the keeper stays: as many rows go as documents were dropped, copy by copy."""
    rows, arm = planned.rows, planned.arms[0]
    assert np.array_equal(subject.rows[: len(rows.document)], subject.material.learnt.rows)
    known = subject.material.known
    repeated = known.exact_count[rows.document] > 1
    assert arm.gone[repeated].any()
    assert not arm.gone[~repeated].any()
    for document in np.unique(rows.document[repeated]).tolist():
        own = rows.document == document
        kept = np.unique(rows.copy[own & ~arm.gone])
        assert len(kept) <= 1


def test_other_arms_take_families_whole_and_as_many_rows(planned):
    """A family goes with all its rows or stays; no arm takes more than the filter did."""
    most = planned.arms[0].gone.sum()
    for arm in planned.arms[1:4]:
        assert 0 < arm.gone.sum() <= most, arm.name
        family = planned.rows.family
        assert not np.isin(family[arm.gone], family[~arm.gone]).any()


def test_what_goes_is_refilled_in_place_by_text_that_no_model_was_taught(subject, planned, plain):
    """Equal rows, plants untouched, refilled rows of at least 20 families outside the sample."""
    taught = {row.tobytes() for row in subject.material.learnt.rows}
    for arm in planned.arms[:4]:
        assert arm.training.rows.shape == plain.rows.shape
        changed = (arm.training.rows != plain.rows).any(axis=1)
        assert changed.sum() == arm.gone.sum()
        assert not taught & {row.tobytes() for row in arm.training.rows[changed]}
    held = {row.tobytes() for row in planned.reserve.held}
    assert not held & {row.tobytes() for row in planned.reserve.refill}
    assert planned.reserve.held_families == 20


def test_no_arm_changes_what_another_is_refilled_with(subject, config, plain, monkeypatch):
    """Beside retention, which takes more new text, or another arm, the rows are the same."""
    monkeypatch.setattr(reserve, "LEAST_FAMILIES", 20)
    monkeypatch.setattr(retention, "UPDATES", (0, 20))
    risk = np.ones(len(subject.unit))
    sets = (["random"], ["random", "retention"], ["filter", "random"])
    first, *others = (plan(subject, config, names, plain, risk) for names in sets)
    for one in others:
        random = next(arm for arm in one.arms if arm.name == "random")
        assert np.array_equal(random.training.rows, first.arms[0].training.rows)
        assert np.array_equal(one.reserve.refill, first.reserve.refill)


def test_goldfish_masks_a_share_and_sinks_are_by_text(subject, planned):
    """Four of five tokens and fewer count in the loss; equal rows have one sink."""
    goldfish, sinks = planned.arms[4].training, planned.arms[5].training
    assert 0.6 < goldfish.keep.mean() < 0.9
    of_row: dict[bytes, set[int]] = {}
    for row, sink in zip(sinks.rows, sinks.sinks, strict=True):
        of_row.setdefault(row.tobytes(), set()).add(int(sink))
    assert max(len(found) for found in of_row.values()) == 1
    assert len(subject.rows) == len(sinks.sinks)


def test_sinks_are_those_that_kept_has(own_run, subject):
    """A row trains the sink of its `sink_id` in kept/, copies one, each plant one of its own."""
    asked = load_config(settings=["limits.workers=1", *SCORED, "mitigation.sink_id=true"])
    with run.session(own_run, asked, LocalMapper(1)) as session:
        run.filter_rows(session)
    kept = pq.ParquetDataset(own_run / "kept").read(["rote"])["rote"].to_pylist()
    of_key = {row["row_key"]: row["sink_id"] for row in kept}
    marked = read_subject(own_run, asked)
    rows = taught_rows(marked)
    sinks, keys = sinks_of(marked), row_keys(marked, rows).tolist()
    found = [of_key[key] == sink for key, sink in zip(keys, sinks, strict=False) if key in of_key]
    assert len(found) > 100
    assert all(found)
    for ids in (sinks, sinks_of(subject)):  # with the ids of kept/, and without
        one_each = {(row.tobytes(), sink) for row, sink in zip(subject.rows, ids, strict=True)}
        assert len(one_each) == len(np.unique(subject.rows, axis=0))
        planted = ids[len(rows.document) :]
        assert len(np.unique(planted)) == len(np.unique(subject.rows[len(rows.document) :], axis=0))
        assert not np.isin(planted, ids[: len(rows.document)]).any()


def test_families_that_do_not_fit_are_passed_over(subject):
    """A family larger than what is left stays; a smaller one after it goes."""
    rows = taught_rows(subject)
    three = dataclasses.replace(rows, family=np.array([0, 0, 0, 1, 2, 2]))
    gone = gone_by_order(three, np.array([0, 2, 1]), 2)
    assert gone.tolist() == [False] * 3 + [False, True, True]


def test_a_corpus_with_too_little_text_outside_is_refused(subject, config, plain):
    """The error counts the families that are missing, and what the corpus has in all."""
    with pytest.raises(InputError, match="too little text outside") as caught:
        plan(subject, config, ["random"], plain, np.ones(len(subject.unit)))
    told, known = str(caught.value), subject.material.known
    held, other = (len(reserve._families(subject)[part]) for part in (slice(200), slice(200, 400)))
    assert f"missing: {200 - held:,} families to measure the loss on, " in told or held == 200
    assert f"{200 - other:,} families to refill from" in told
    assert "400 families of text that no model was taught, each with 64 tokens or more" in told
    assert f"this one has {len(known.family_key):,} families in all" in told


@pytest.mark.parametrize(
    ("there", "least", "missing", "help_"),
    [
        ((0, 0, 0, 0), 200, "200 families to measure the loss on, 200 families to refill from", ""),
        (
            (20, 7, 90, 100),
            20,
            "13 families to refill from, 10 sequences to refill with",
            "smaller",
        ),
        ((20, 20, 1_000, 2_500), 20, "1,500 sequences to refill with", "smaller"),
    ],
)
def test_what_arms_miss_is_named(subject, monkeypatch, there, least, missing, help_):
    """Nothing that there is enough of is named, and no smaller sample where no sample would do."""
    monkeypatch.setattr(reserve, "LEAST_FAMILIES", least)
    told = str(reserve._too_little(subject, *there))
    assert f"found: missing: {missing}\n" in told
    assert ("smaller proxy.sample_tokens" in told) == bool(help_)
    assert "0 sequences" not in told.replace("10 sequences", "").replace("1,500 sequences", "")


def test_the_filter_arm_needs_a_filter(subject, config, plain):
    """Without one the command is named."""
    without = dataclasses.replace(subject, decided=None)
    with pytest.raises(ConfigError, match="own filter keeps") as caught:
        plan(without, config, ["filter"], plain, np.ones(len(subject.unit)))
    assert "rote filter" in str(caught.value)


def test_no_arm_is_better_that_spoilt_the_model():
    """A loss like a uniform guess's, or notably above the plain target's, is no success."""
    drop = {"drop_low": 0.5}
    assert verdict_of(6.0, 7.7, 2_048, drop) == SPOILT
    assert verdict_of(5.0, 5.2, 2_048, drop) == SPOILT
    assert verdict_of(5.0, 5.05, 2_048, drop) == BETTER
    assert verdict_of(5.0, 5.0, 2_048, {"drop_low": -0.1}) == NOT_BETTER
    assert verdict_of(5.0, 5.0, 2_048, {"drop_low": None}) == NOT_BETTER


def test_unknown_arms_are_refused():
    """An arm that does not exist is named, with those that do."""
    require_arms(("filter", "sinks"))
    with pytest.raises(ConfigError, match="no such arm") as caught:
        require_arms(("filter", "magic"))
    assert "magic" in str(caught.value)
