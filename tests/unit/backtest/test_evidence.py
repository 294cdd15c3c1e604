"""The forecast that is judged: of each family by what was fitted on others, never by its labels."""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pytest

from pipeline.backtest.judgement.evidence import held_out_forecast
from pipeline.score.forecast import logistic as forecast
from pipeline.score.forecast.features import ScoredPanel
from pipeline.score.forecast.logistic import Cases, folds
from pipeline.score.forecast.risk import Basis
from pipeline.score.forecast.target import Target

TARGET = Target(1_000, 1.0, 1_000, 2.0, "of a test")


@dataclass(frozen=True)
class FakeProxy:
    """A proxy of some size that was trained on every row."""

    parameters: int
    taught: np.ndarray


@dataclass(frozen=True)
class FakePanel:
    """As much of a panel as a held-out forecast looks at."""

    count: np.ndarray
    family: np.ndarray
    proxies: tuple[FakeProxy, ...]

    @property
    def top(self):
        """Return the largest proxy."""
        return self.proxies[-1]

    def of_role(self, role):
        """Return the ladder."""
        assert role == "ladder"
        return list(self.proxies)


@pytest.fixture
def given(monkeypatch):
    """Return a panel of 60 families of 5 rows and a basis whose labels follow its feature."""
    monkeypatch.setattr(forecast, "DRAWS", 8)
    random = np.random.default_rng(6)
    family = np.repeat(np.arange(60), 5)
    features = random.normal(size=(300, 1))
    label = features[:, 0] + 0.5 * random.normal(size=300) > 0
    rung = np.arange(300) % 3
    cases = Cases(features, label, family, rung, rung == 2)
    taught = np.ones(300, np.bool_)
    panel = FakePanel(np.ones(300), family, (FakeProxy(10, taught), FakeProxy(100, taught)))
    return panel, Basis("seen", ("x",), cases, features, taught)


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
    """Rows of a high feature get a high risk inside its interval; untaught rows get none."""
    panel, basis = given
    risk = held_out_forecast(basis, panel, TARGET, seed=1)
    assert np.corrcoef(risk[:, 0], basis.features[:, 0])[0, 1] > 0.8
    assert (risk[:, 1] <= risk[:, 0]).all()
    assert (risk[:, 0] <= risk[:, 2]).all()
    some = np.arange(300) < 200
    partly = FakePanel(panel.count, panel.family, (FakeProxy(10, some), FakeProxy(100, some)))
    seen = cast(ScoredPanel, partly)  # a forecast asks for its three fields and `top` alone
    found = held_out_forecast(basis, seen, TARGET, seed=1)
    assert np.isnan(found[200:]).all()
    assert np.isfinite(found[:200]).all()
