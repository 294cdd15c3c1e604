"""The logistic regression of the forecast and what is built on it, on cases made from a formula."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from pipeline.score.forecast import logistic as forecast
from pipeline.score.forecast.logistic import Cases, Logistic, Prior

INFINITE = float("inf")


def flat(features=2, deviation=10.0):
    """Return a prior that knows next to nothing but that no slope is negative."""
    size = 1 + features
    least = np.array([-INFINITE, *[0.0] * features])
    return Prior(np.zeros(size), np.full(size, deviation), least)


def cases(rows=1500, slopes=(2.0, 0.0), intercept=-1.0, seed=4, families=0):
    """Return cases whose labels are drawn from a known logistic; the last third is the top pair."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, len(slopes)))
    label = random.random(rows) < expit(intercept + features @ np.array(slopes))
    top = np.arange(rows) >= 2 * rows // 3
    return Cases(features, label, random.integers(0, families or rows, rows), top + 1, top)


def test_the_fit_finds_the_slopes_it_was_drawn_from():
    """Slopes and intercept of 20,000 cases come back within three standard errors."""
    fitted = forecast.fit(cases(20_000, (1.5, 0.7)), flat())
    assert fitted.slopes() == pytest.approx([1.5, 0.7], abs=0.08)
    assert fitted.logit(np.zeros((1, 2)))[0] == pytest.approx(-1.0, abs=0.08)


def test_no_slope_is_negative():
    """A feature that lowers the truth is left out of the forecast: its slope is zero, not less."""
    first, second = forecast.fit(cases(slopes=(2.0, -1.5)), flat()).slopes()
    assert first > 1.0
    assert second == pytest.approx(0.0, abs=1e-9)


def test_separable_cases_have_a_finite_fit():
    """Labels that one feature separates without an error still give a finite, certain fit."""
    features = np.linspace(-1, 1, 40)[:, None]
    top = np.ones(40, np.bool_)
    separable = Cases(features, features[:, 0] > 0, np.arange(40), np.ones(40, np.int64), top)
    fitted = forecast.fit(separable, flat(1))
    chance = expit(fitted.logit(np.array([[-1.0], [1.0]])))
    assert np.isfinite(fitted.beta).all()
    assert chance[0] < 0.01
    assert chance[1] > 0.99


def test_labels_of_one_kind_have_a_finite_fit():
    """A bootstrap may draw no memorized sequence at all."""
    none = cases()
    none = Cases(none.features, np.zeros(1500, np.bool_), none.family, none.rung, none.top)
    fitted = forecast.fit(none, flat())
    assert np.isfinite(fitted.beta).all()
    assert expit(fitted.logit(none.features)).max() < 0.05


def test_a_prior_yields_to_what_a_run_shows():
    """Two cases leave the prior as it is, thousands put the truth in its place."""
    known = Prior(np.array([0.0, 3.0]), np.array([1.0, 0.3]), np.array([-INFINITE, 0.0]))
    few, many = (cases(rows, (1.0,)) for rows in (2, 20_000))
    assert forecast.fit(few, known).slopes()[0] == pytest.approx(3.0, abs=0.3)
    assert forecast.fit(many, known).slopes()[0] == pytest.approx(1.0, abs=0.1)


def test_fits_about_drawn_priors_spread_as_the_prior_where_nothing_is_shown():
    """Without a case that tells, the fits are as wide as the prior; with many they agree."""
    known = Prior(np.array([-1.0, 2.0]), np.array([0.1, 0.8]), np.array([-INFINITE, 0.0]))
    draw = np.random.default_rng(2).normal(size=(200, 2))
    spread = []
    for given in (cases(2, (0.0,)), cases(5_000, (2.0,))):
        slopes = [forecast.fit(given, known.drawn(one)).slopes()[0] for one in draw]
        spread.append(np.std(slopes))
    assert spread[0] == pytest.approx(0.8, rel=0.2)
    assert spread[1] < 0.1


def test_the_cases_of_a_family_weigh_less_than_as_many_families():
    """Four cases of one family and proxy have half of their weight each, a single one all."""
    family, rung = np.array([1, 1, 1, 1, 2]), np.array([0, 0, 0, 0, 0])
    given = Cases(np.zeros((5, 1)), np.zeros(5, np.bool_), family, rung, np.ones(5, np.bool_))
    assert given.weight.tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]


def test_the_errors_of_the_proxies_are_their_shifts():
    """Labels of one proxy that are drawn two logits higher are found about so far off."""
    given = cases(6000)
    higher = cases(6000, intercept=1.0, seed=5)
    label = np.where(given.top, higher.label, given.label)
    features = np.where(given.top[:, None], higher.features, given.features)
    shifted = Cases(features, label, given.family, given.rung, given.top)
    low, high = forecast.rung_errors(shifted, Logistic(np.array([-1.0, 2.0, 0.0])))
    assert low == pytest.approx(0.0, abs=0.2)
    assert high == pytest.approx(2.0, abs=0.6)


def test_held_out_quality_beats_a_useless_baseline():
    """Average precision is measured against the baseline given, on the top pair alone."""
    given = cases()
    found: dict[str, Any] = forecast.judged(
        given, forecast.cross_fitted(given, flat()), np.zeros(1500), 1
    )
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
    given = Cases(noise, label, family, np.ones(1000, np.int64), top)
    predicted = forecast.cross_fitted(given, flat(1))
    assert abs(np.corrcoef(predicted, label)[0, 1]) < 0.35
    assert predicted.std() < 0.15


def test_calibration_counts_every_row_of_the_top_pair_once():
    """The bins hold all judged rows, and the forecast of each lies inside its bin."""
    given = cases()
    bins = forecast.calibration(given, forecast.cross_fitted(given, flat()))
    assert sum(row["sequences"] for row in bins) == 500
    for row in bins:
        assert row["from"] <= row["forecast"] <= row["to"]


def test_the_evidence_is_the_integral_over_the_coefficients():
    """Laplace's approximation agrees with the sum over a grid, up to what no prior changes."""
    of = cases(rows=120, slopes=(1.0,))
    grid = np.linspace(-6.0, 6.0, 241)
    intercept, slope = (values.ravel() for values in np.meshgrid(grid, grid))
    found, exact = [], []
    for deviation in (0.3, 3.0):
        prior = flat(1, deviation)
        found.append(forecast.log_evidence(of, prior, forecast.fit(of, prior)))
        total = -np.log(deviation) * 2 - (intercept**2 + slope**2) / (2 * deviation**2)
        for label in (True, False):
            own = of.features[of.label == label, 0]
            weight = of.weight[of.label == label]
            sign = 1.0 if label else -1.0
            for value, each in zip(own, weight, strict=True):
                total = total - each * np.logaddexp(0.0, -sign * (intercept + slope * value))
        exact.append(np.logaddexp.reduce(total))
    assert found[1] - found[0] == pytest.approx(exact[1] - exact[0], abs=0.05)
