"""A forecast against a target: shares, the sign of its error, an oracle, kept promises."""

import numpy as np
import pytest
from scipy.special import expit, logit

from pipeline.backtest.judgement.forecasts import Forecast
from pipeline.backtest.judgement.measures import (
    LEAST_DRAWS,
    NUMBERS,
    Bootstrap,
    called_at,
    measured,
    recalibrated,
    too_high,
)
from pipeline.backtest.judgement.strata import Stratum
from pipeline.backtest.judgement.truths import Truth

ROWS = 400
UNIT = np.repeat(np.arange(ROWS // 4), 4)
DRAW = Bootstrap(UNIT, 100, 1)
ALL = Stratum("all", np.ones(ROWS, np.bool_), np.ones(ROWS))


def truth_of(memorized, seed=2):
    """Return a target that remembers some rows."""
    margin = np.where(memorized, 1.0, -1.0)
    return Truth("2x32", seed, 1_000, memorized, margin, margin)


def forecast_of(risk, spread=0.01):
    """Return a forecast whose expected share may be off by a spread."""
    share = {"all": np.linspace(risk.mean() - spread, risk.mean() + spread, 256)}
    return Forecast(np.column_stack((risk, risk, risk)), share, share)


@pytest.fixture
def given():
    """Return probabilities and what came true of them."""
    random = np.random.default_rng(8)
    risk = expit(random.normal(-1, 2, ROWS))
    return risk, random.random(ROWS) < risk


def test_the_error_of_a_forecast_has_a_sign(given):
    """Shifted by two logits it is two too high; as much below it is too low."""
    risk, memorized = given
    centre = too_high(risk, np.ones(ROWS), float(memorized.mean()))
    assert centre is not None
    for shift in (2.0, -2.0):
        found = too_high(expit(logit(risk) + shift), np.ones(ROWS), float(memorized.mean()))
        assert found == pytest.approx(centre + shift, abs=1e-6)
    assert too_high(risk, np.ones(ROWS), 0.0) is None


def test_an_oracle_takes_a_line_in_log_odds_off(given):
    """A forecast that is a line away from a good one is as good after the oracle."""
    risk, memorized = given
    off = expit(0.5 * logit(risk) - 3)
    one, other = (recalibrated(r, memorized, np.ones((1, ROWS))) for r in (risk, off))
    assert one == pytest.approx(other, abs=1e-3)
    none = recalibrated(risk, memorized & False, np.ones((1, ROWS)))
    assert not none.any()


def test_what_is_called_is_at_the_promise_itself(given):
    """Not above a threshold whose mean is: a unit of many rows of a lesser risk is not called."""
    risk, _ = given
    called = called_at(risk, UNIT, 0.9)
    assert called.tolist() == (risk >= 0.9).tolist()
    assert not called_at(np.full(ROWS, 0.85), UNIT, 0.9).any()
    assert called_at(np.full(ROWS, 0.85), UNIT, 0.75).all()


def test_too_few_units_carry_no_promise():
    """What is called of a fold rests on those of the others: 9 units for .9, 3 for .75."""
    few = np.where(UNIT < 9, 0.95, 0.1)  # units of one fold have fewer than nine in the others
    assert not called_at(few, UNIT, 0.9).any()
    assert called_at(few, UNIT, 0.75).tolist() == (few > 0.9).tolist()
    many = np.where(UNIT < 40, 0.95, 0.1)
    assert called_at(many, UNIT, 0.9).tolist() == (many > 0.9).tolist()


def test_a_row_of_results_says_what_was_expected_and_what_came(given):
    """Shares, skill beside the oracle's, ranks beside count and ceiling, promises."""
    risk, memorized = given
    other = truth_of(memorized.copy(), 3)
    row = measured(forecast_of(risk), truth_of(memorized), other, risk, ALL, DRAW)
    assert row is not None
    assert row["observed"] == pytest.approx(memorized.mean())
    assert row["expected"] == pytest.approx(risk.mean())
    assert row["holds"] == (abs(memorized.mean() - risk.mean()) <= 0.01 * 0.95)
    assert row["brier_skill"] <= row["oracle_brier_skill"] + 1e-6
    assert row["of_other_seed"] == 1.0
    assert row["share_of_the_way"] == pytest.approx(0.0)  # the dose ranks as the forecast does
    assert row["precision_promised_0.9"] >= 0.75
    assert row["called_at_that"] == (risk >= 0.9).sum()
    low, high = row["average_precision_95"]
    assert low <= row["average_precision"] <= high


def test_where_nothing_is_memorized_there_is_nothing_to_rank(given):
    """The share and its interval are told, and no skill, rank or ratio."""
    risk, memorized = given
    row = measured(forecast_of(risk), truth_of(memorized & False), None, risk, ALL, DRAW)
    assert row is not None
    assert "average_precision" not in row
    assert row["expected_over_observed"] is row["logits_too_high"] is row["brier_skill"] is None
    assert row["observed_of_units_95"] == [0.0, 0.03]
    few = Stratum("few", np.arange(ROWS) < 4, np.ones(ROWS))
    assert measured(forecast_of(risk), truth_of(memorized), None, risk, few, DRAW) is None


def test_a_panel_of_millions_has_fewer_draws():
    """The weights of all draws together are bounded."""
    assert DRAW.times(1_000) == 100
    many = Bootstrap(UNIT, 10_000, 1)
    assert many.times(1_000_000) == NUMBERS // 1_000_000
    assert many.times(NUMBERS) == LEAST_DRAWS
