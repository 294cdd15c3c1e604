"""The forecast that is judged: of each family by what was fitted on others, never by its labels."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from pipeline.backtest.judgement.evidence import held_out_forecast
from pipeline.score.forecast import scaling
from pipeline.score.forecast.features import DOSES, UNSEEN, ScoredPanel, Seen
from pipeline.score.forecast.logistic import Cases, folds
from pipeline.score.forecast.risk import Basis
from pipeline.score.forecast.target import Target

TARGET = Target(1_000, 1.0, 20_000, 2.0, 1.0, "of a test")


def panel_of(dose, family, taught):
    """Return a panel whose largest proxy was trained on some rows."""
    ones, none = np.ones(len(dose)), np.zeros(len(dose), np.bool_)
    seen = tuple(
        Seen(f"p{rung}", "ladder", size, 20_000, dose * taught, -30 * ones, none, ones)
        for rung, size in enumerate((125, 250, 500))
    )
    return ScoredPanel(dose, dose, dose, dose, ones, ones, ones, ones, none, family, seen)


@pytest.fixture
def given(monkeypatch):
    """Return a panel of 60 families of 5 rows and a basis whose labels follow the dose."""
    monkeypatch.setattr(scaling, "LAW_DRAWS", 8)
    random = np.random.default_rng(6)
    family = np.repeat(np.arange(60), 5)
    dose = 2.0 ** random.integers(0, 8, 60)[family]
    features = np.zeros((300, len(UNSEEN)))
    features[:, : len(DOSES)] = np.log(dose)[:, None]
    label = random.random(300) < expit(3 * np.log(dose / 16))
    rung = np.arange(300) % 3
    cases = Cases(features, label, family, rung, rung == 2)
    taught = np.ones(300, np.bool_)
    return panel_of(dose, family, taught), Basis("unseen", UNSEEN, cases, features, taught)


def test_labels_of_a_fold_change_nothing_of_its_forecast(given):
    """With all labels of a fold's families flipped its own rows are forecast as before."""
    panel, basis = given
    before = held_out_forecast(basis, panel, TARGET, seed=1)
    own = folds(panel.family) == 0
    assert own.any()
    flipped = replace(basis, cases=replace(basis.cases, label=basis.cases.label ^ own))
    after = held_out_forecast(flipped, panel, TARGET, seed=1)
    assert np.array_equal(before[own], after[own])
    assert not np.array_equal(before[~own], after[~own])


def test_the_forecast_follows_what_the_other_families_say(given):
    """Rows of a high dose get a high risk inside its interval; untaught rows get none."""
    panel, basis = given
    risk = held_out_forecast(basis, panel, TARGET, seed=1)
    assert np.corrcoef(risk[:, 0], np.log(panel.count))[0, 1] > 0.8
    assert (risk[:, 1] <= risk[:, 0]).all()
    assert (risk[:, 0] <= risk[:, 2]).all()
    partly = panel_of(panel.count, panel.family, np.arange(300) < 200)
    found = held_out_forecast(basis, partly, TARGET, seed=1)
    assert np.isnan(found[200:]).all()
    assert np.isfinite(found[:200]).all()


def test_weights_are_those_of_the_fold_alone(given):
    """Cases cut from others know nothing of the weights of those they were cut from."""
    _, basis = given
    first = basis.cases.weight
    some = basis.cases.where(basis.cases.family < 10)
    assert len(some.weight) == 50
    assert first[:50] == pytest.approx(some.weight)
