"""The logistic regression of the forecast and what is built on it, on cases made from a formula."""

import numpy as np
import pytest
from scipy.special import expit

from pipeline.score.forecast import logistic as forecast
from pipeline.score.forecast.logistic import Cases


def cases(rows=1500, slopes=(2.0, 0.0), intercept=-1.0, seed=4, families=60):
    """Return cases whose labels are drawn from a known logistic; the last third is the top pair."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, len(slopes)))
    label = random.random(rows) < expit(intercept + features @ np.array(slopes))
    top = np.arange(rows) >= 2 * rows // 3
    return Cases(features, label, random.integers(0, families, rows), top + 1, top)


def test_the_fit_finds_the_slopes_it_was_drawn_from():
    """Slopes and intercept of 20,000 cases come back within three standard errors."""
    fitted = forecast.fit(cases(20_000, (1.5, 0.7)))
    assert fitted.slopes() == pytest.approx([1.5, 0.7], abs=0.08)
    assert fitted.logit(np.zeros((1, 2)))[0] == pytest.approx(-1.0, abs=0.08)


def test_no_slope_is_negative():
    """A feature that lowers the truth is left out of the forecast: its slope is zero, not less."""
    first, second = forecast.fit(cases(slopes=(2.0, -1.5))).slopes()
    assert first > 1.0
    assert second == pytest.approx(0.0, abs=1e-9)


def test_separable_cases_have_a_finite_fit():
    """Labels that one feature separates without an error still give a finite, certain fit."""
    features = np.linspace(-1, 1, 40)[:, None]
    top = np.ones(40, np.bool_)
    separable = Cases(features, features[:, 0] > 0, np.arange(40), np.ones(40, np.int64), top)
    fitted = forecast.fit(separable)
    chance = expit(fitted.logit(np.array([[-1.0], [1.0]])))
    assert np.isfinite(fitted.beta).all()
    assert chance[0] < 0.01
    assert chance[1] > 0.99


def test_labels_of_one_kind_have_a_finite_fit():
    """A bootstrap may draw no memorized sequence at all."""
    none = cases()
    none = Cases(none.features, np.zeros(1500, np.bool_), none.family, none.rung, none.top)
    fitted = forecast.fit(none)
    assert np.isfinite(fitted.beta).all()
    assert expit(fitted.logit(none.features)).max() < 0.05


def test_an_interval_holds_its_forecast_and_grows_with_the_transfer_error():
    """Low <= risk <= high for every row, and a larger transfer error widens all of them."""
    given = cases()
    rows = np.array([[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    narrow = forecast.forecast(given, rows, 0.1, seed=1)
    wide = forecast.forecast(given, rows, 2.0, seed=1)
    for risk, low, high in (narrow, wide):
        assert (low <= risk).all()
        assert (risk <= high).all()
        assert (np.diff(risk) > 0).all()
    assert (wide[2] - wide[1] > narrow[2] - narrow[1]).all()


def test_an_unknown_transfer_error_says_nothing():
    """Where no rung below the top was memorized, the interval is all from 0 to 1."""
    _, low, high = forecast.forecast(cases(), np.zeros((2, 2)), forecast.MOST_SPREAD, seed=1)
    assert low == pytest.approx(0.0, abs=1e-6)
    assert high == pytest.approx(1.0, abs=1e-6)


def test_the_transfer_error_is_the_shift_of_the_top_rung():
    """Labels that are drawn two logits higher at the top rung are found two logits off."""
    low, high = cases(6000, intercept=-1.0), cases(6000, intercept=1.0, seed=5)
    label = np.where(low.top, high.label, low.label)
    features = np.where(low.top[:, None], high.features, low.features)
    shifted = Cases(features, label, low.family, low.rung, low.top)
    assert forecast.transfer_error(shifted) == pytest.approx(2.0, abs=0.2)
    assert forecast.transfer_error(low) < 0.2


def test_no_memorized_row_below_the_top_rung_leaves_the_error_unknown():
    """A ladder that memorized nothing below its top rung cannot say how far off it is."""
    given = cases()
    label = given.label & given.top
    unknown = Cases(given.features, label, given.family, given.rung, given.top)
    assert forecast.transfer_error(unknown) == forecast.MOST_SPREAD


def test_held_out_quality_beats_a_useless_baseline():
    """Average precision is measured against the baseline given, on the top pair alone."""
    given = cases()
    found = forecast.judged(given, np.zeros(1500), seed=1)
    base = given.label[given.top].mean()
    assert found["base_rate_of_panel"] == pytest.approx(base, abs=1e-4)
    assert found["average_precision_of_log_count"] == pytest.approx(base, abs=1e-4)
    assert found["average_precision"] > base + 0.2
    assert found["brier"] < found["brier_of_base_rate"]
    low, high = found["average_precision_95"]
    assert low < found["average_precision"] < high


def test_cross_fitting_never_judges_a_family_by_itself():
    """A label that only its family explains cannot be forecast out of the fold."""
    random = np.random.default_rng(0)
    family = np.repeat(np.arange(50), 20)
    label = np.repeat(random.random(50) < 0.5, 20)
    noise = random.normal(size=(1000, 1))
    top = np.ones(1000, np.bool_)
    predicted = forecast.cross_fitted(Cases(noise, label, family, np.ones(1000, np.int64), top))
    assert abs(np.corrcoef(predicted, label)[0, 1]) < 0.35
    assert predicted.std() < 0.15


def test_calibration_counts_every_row_of_the_top_pair_once():
    """The bins hold all judged rows, and the forecast of each lies inside its bin."""
    given = cases()
    bins = forecast.calibration(given)
    assert sum(row["sequences"] for row in bins) == 500
    for row in bins:
        assert row["from"] <= row["forecast"] <= row["to"]
