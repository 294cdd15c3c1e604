"""The forecast that is judged: of each unit by what was fitted on others, never by its labels."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from pipeline.backtest.judgement.evidence import evidence
from pipeline.backtest.judgement.forecasts import basis_of, forecast, held_out
from pipeline.backtest.judgement.strata import strata_of, uniform_weight
from pipeline.backtest.judgement.truths import Truth, ladders, other_seed, rungs_of
from pipeline.config.load import load_config
from pipeline.score.forecast.features import ScoredPanel, Seen
from pipeline.score.forecast.logistic import folds
from pipeline.score.forecast.scaling import Model

SIZES = (125, 250, 500)
FAMILIES, EACH = 60, 5


def proxy(name, role, size, dose, memorized):
    """Return a proxy that was trained on rows of a dose."""
    ones = np.ones(len(dose))
    return Seen(name, role, size, 20_000, dose, -30 * ones, memorized, ones)


def panel_of(dose, family, memorized):
    """Return a panel with a ladder of three sizes and a pair of halves as large as its top."""
    size = len(dose)
    ones, none = np.ones(size), np.zeros(size, np.bool_)
    rungs = [proxy(f"p{n}", "ladder", SIZES[n], dose, memorized[n]) for n in range(len(SIZES))]
    side = np.arange(size) // EACH % 2
    halves = [
        proxy(f"half-{n}", "half", SIZES[2], dose * (side == n), memorized[2]) for n in range(2)
    ]
    return ScoredPanel(
        dose, dose, dose, dose, ones, ones, ones, ones, none, family, (*rungs, *halves)
    )


def subject_of(panel, unit=None):
    """Return a subject with that panel, of which the judgement asks for nothing else."""
    unit = panel.family if unit is None else unit
    config = load_config(settings=["backtest.draws=100"])
    of: Any = SimpleNamespace(
        panel=panel,
        unit=unit,
        taught=panel.top.taught,
        work=SimpleNamespace(config=config),
        unit_of=lambda family: unit[np.searchsorted(panel.family, family)],
    )
    return of


@pytest.fixture
def given():
    """Return a subject of 60 families of 5 rows whose labels follow the dose."""
    random = np.random.default_rng(6)
    family = np.repeat(np.arange(FAMILIES), EACH)
    dose = 2.0 ** random.integers(0, 8, FAMILIES)[family]
    chance = expit(3 * np.log(dose / 16))
    memorized = [random.random(len(dose)) < chance for _ in SIZES]
    return subject_of(panel_of(dose, family, memorized))


def risk_of(subject):
    """Return what the whole ladder says of every row."""
    judged = np.ones(len(subject.unit), np.bool_)
    of = held_out(subject, subject.panel, "unseen", judged)
    return forecast(of, Model(1_000, 20_000), strata_of(subject, judged))


def flipped(subject, rows):
    """Return the subject with all labels of some rows turned round."""
    proxies = tuple(replace(one, memorized=one.memorized ^ rows) for one in subject.panel.proxies)
    return subject_of(replace(subject.panel, proxies=proxies), subject.unit)


def test_labels_of_a_fold_change_nothing_of_its_forecast(given):
    """With all labels of a fold's units flipped its own rows are forecast as before."""
    before = risk_of(given).risk
    own = folds(given.unit) == 0
    after = risk_of(flipped(given, own)).risk
    assert np.array_equal(before[own], after[own])
    assert not np.array_equal(before[~own], after[~own])


def test_a_family_that_shares_text_is_left_out_with_its_unit(given):
    """Joined with another family, its labels do not enter that one's forecast."""
    by_fold = folds(np.arange(FAMILIES))
    one, other = int(np.flatnonzero(by_fold == 0)[0]), int(np.flatnonzero(by_fold == 1)[0])
    unit = np.where(given.panel.family == other, one, given.panel.family)
    joined = subject_of(given.panel, unit)
    rows, others = given.panel.family == one, given.panel.family == other
    before, after = risk_of(joined).risk, risk_of(flipped(joined, others)).risk
    assert np.array_equal(before[rows], after[rows])
    apart = risk_of(given).risk, risk_of(flipped(given, others)).risk
    assert not np.array_equal(apart[0][rows], apart[1][rows])


def test_the_forecast_follows_the_dose_inside_its_interval(given):
    """Rows of a high dose get a high risk; shares are within those of the futures."""
    found = risk_of(given)
    risk = found.risk
    assert np.corrcoef(risk[:, 0], np.log(given.panel.count))[0, 1] > 0.8
    assert (risk[:, 1] <= risk[:, 0]).all()
    assert (risk[:, 0] <= risk[:, 2]).all()
    assert found.shares["all"].mean() == pytest.approx(risk[:, 0].mean(), abs=0.02)
    assert found.drawn["all"].std() > found.shares["all"].std() * 0.9


def test_a_model_larger_than_the_ladder_labels_nothing(given):
    """A pair of halves of the size of the third rung is left out of a ladder of two."""
    judged = np.ones(len(given.unit), np.bool_)
    [(shorter, truths)] = list(ladders(given.panel, []))  # nothing is larger than the third rung
    assert [one.name for one in shorter.of_role("ladder")] == ["p0", "p1"]
    assert [one.name for one in truths] == ["p2"]
    cases = basis_of(given, shorter, "unseen", judged).cases
    largest = {shorter.proxies[rung].parameters for rung in np.unique(cases.rung).tolist()}
    assert max(largest) == SIZES[1]


def test_rungs_are_targets_of_shorter_ladders_and_say_so(given):
    """A target of its own order is one of every ladder, its twin too, and has another seed."""
    rows = len(given.unit)
    some = np.arange(rows) % 3 == 0
    targets = [
        Truth("twin", seed, SIZES[2], some, np.ones(rows), np.ones(rows), some, np.ones(rows))
        for seed in (2, 3)
    ]
    found = list(ladders(given.panel, targets))
    assert [[one.name for one in truths] for _, truths in found] == [
        ["twin seed 2", "twin seed 3"],
        ["twin seed 2", "twin seed 3", "p2"],
    ]
    assert [one.order for one in found[1][1]] == ["its own", "its own", "the proxies'"]
    assert other_seed(targets[0], targets) is targets[1]
    assert other_seed(rungs_of(given.panel)[0], targets) is None


def test_the_headline_is_of_targets_of_an_order_of_their_own(given):
    """A triple for each ladder and target; the headline is the full ladder and every seed."""
    rows = len(given.unit)
    label = given.panel.top.memorized
    targets = [
        Truth("2x64", seed, 2_000, label, np.ones(rows), np.ones(rows), label, np.ones(rows))
        for seed in (2, 3)
    ]
    found = evidence(given, targets)
    assert [one.truth.seed for one in found.headline["unseen"]] == [2, 3]
    assert {one.truth.order for one in found.headline["seen"]} == {"its own"}
    ladder = [one.about["ladder"] for one in found.triples]
    assert ladder == ["p0 p1 p2"] * 4 + ["p0 p1"] * 3
    assert found.triples[-1].about["order"] == "the proxies'"


def test_weights_are_of_a_uniform_sample(given):
    """What is judged of a level of counts stands for all of that level in the corpus."""
    panel = given.panel
    judged = (np.arange(len(panel.count)) % 3 == 0) | (panel.count > 64)
    weight = uniform_weight(given, judged)
    for count in np.unique(panel.count).tolist():
        level = panel.count == count
        assert weight[level & judged].sum() == pytest.approx(level.sum())
    assert not weight[~judged].any()
    names = [stratum.name for stratum in strata_of(given, judged)]
    assert names[0] == "natural, once"
    assert names[-1] == "all"
