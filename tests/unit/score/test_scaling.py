"""The law in size, tokens and dose: its own within the ladder, the published one far beyond it."""

from functools import cache

import numpy as np
import pytest
from scipy.special import expit, logit

from pipeline.score.forecast import features as columns
from pipeline.score.forecast import scaling
from pipeline.score.forecast.features import UNSEEN
from pipeline.score.forecast.logistic import Cases
from pipeline.score.forecast.scaling import Model

TOP = Model(400_000, 800_000)
SIZES = (12_000, 24_000, 150_000, 400_000)
DOSES = np.array([2.0**power for power in range(9)])
# sequences memorized of 146,432,000, by the card of pythia-memorized-evals; sizes without
# embeddings as published for the models
PYTHIA = {
    18_915_328: 463_953,
    85_056_000: 689_673,
    302_311_424: 970_341,
    11_327_027_200: 2_382_326,
}
SEQUENCES = 146_432_000


def ladder(slope=2.5, size=1.2, half=32.0, tokens=1.2, clusters=12, seed=3):
    """Return cases of plants whose log odds rise with log dose and log size by known slopes."""
    random = np.random.default_rng(seed)
    rows, labels, family, rung = [], [], [], []
    models = [*((n, TOP.tokens) for n in SIZES), *[(SIZES[2], TOP.tokens / 2)] * 2]
    for place, (parameters, seen) in enumerate(models):
        for number, dose in enumerate(np.repeat(DOSES, clusters)):
            if place >= len(SIZES) and number % 2 != place % 2:
                continue
            features = np.zeros(len(UNSEEN))
            features[: len(columns.DOSES)] = np.log(dose)
            features[UNSEEN.index("log size")] = np.log(parameters / TOP.parameters)
            features[UNSEEN.index("log tokens")] = np.log(TOP.tokens / seen)
            odds = slope * np.log(dose / half) + size * features[UNSEEN.index("log size")]
            odds += tokens * features[UNSEEN.index("log tokens")]
            rows.append(features)
            labels.append(random.random() < expit(odds))
            family.append(number)
            rung.append(place)
    labelled = np.array(rung)
    top = np.asarray(labelled == len(SIZES) - 1)
    return Cases(np.array(rows), np.array(labels), np.array(family), labelled, top)


@cache
def law(slope=2.5, size=1.2):
    """Return the law of such a ladder, and the futures chosen from it."""
    cases = ladder(slope=slope, size=size)
    found = scaling.fitted_law(UNSEEN, cases, np.zeros(len(UNSEEN)), TOP, 1)
    return found, scaling.drawn_futures(found, 1)


def half_doses(model):
    """Return the half doses of a model by the ordinary ladder."""
    found, chosen = law()
    return scaling.half_doses(found, chosen, model)


def test_within_the_ladder_the_law_is_the_runs_own():
    """The half dose at the largest proxy is the true one, within its interval."""
    low, middle, high = np.quantile(half_doses(TOP), (0.025, 0.5, 0.975))
    assert low < 32 < high
    assert middle == pytest.approx(32, rel=0.35)


def test_a_smaller_model_needs_more_copies():
    """The half dose falls with size within the ladder, as the ladder shows it."""
    halves = [np.median(half_doses(Model(size, TOP.tokens))) for size in SIZES]
    assert halves == sorted(halves, reverse=True)
    assert halves[0] / halves[-1] == pytest.approx((SIZES[-1] / SIZES[0]) ** (1.2 / 2.5), rel=0.5)


def test_far_beyond_the_ladder_the_published_half_dose_is_met():
    """At the size and the tokens of the published models the forecast's median is near theirs."""
    halves = half_doses(Model(*scaling.PUBLISHED))
    mean, deviation = scaling.HALF_DOSE
    assert abs(np.median(np.log(halves)) - mean) < deviation


@pytest.mark.parametrize("parameters", [1e8, 1e9, 1e10, 1e11, 1e12])
@pytest.mark.parametrize("ratio", [0.1, 20, 1_000])
def test_text_that_occurs_once_stays_rare_for_every_target(parameters, ratio):
    """For any size up to 1e12 and any length of training, typical text is not recited after one."""
    found, chosen = law()
    model = Model(parameters, ratio * parameters)
    share = scaling.share_at(found, chosen, model, np.array([1.0])).mean()
    assert share < 0.05


@pytest.mark.parametrize("slope", [1.0, 2.5, 4.0])
def test_a_steep_ladder_is_not_carried_on_without_end(slope):
    """A ladder on which size tells twice as much as published is believed less and less beyond."""
    found, chosen = law(slope=slope, size=slope)
    for parameters in (1e9, 1e12):
        halves = scaling.half_doses(found, chosen, Model(parameters, 20 * parameters))
        assert np.median(halves) > 3


def test_more_tokens_thin_a_dose_out_and_more_doses_never_lower_a_share():
    """At the same number of copies a longer training recites less; shares rise with copies."""
    found, chosen = law()
    short, long = (
        scaling.share_at(found, chosen, Model(8e9, tokens), DOSES).mean(axis=0)
        for tokens in (1.6e11, 1.5e13)
    )
    assert (long < short).all()
    assert (np.diff(short) > 0).all()


@pytest.mark.parametrize("parameters", [4e6, 8e9])
def test_more_tokens_raise_the_half_dose_also_where_a_size_has_too_few(parameters):
    """What more tokens make usable of a size is less than what they thin out, at any ratio."""
    halves = [np.median(half_doses(Model(parameters, parameters * ratio)))
              for ratio in (0.05, 0.2, 1, 5, 20, 100, 1_000)]  # fmt: skip
    assert halves == sorted(halves)


def test_the_interval_widens_with_the_distance_from_the_ladder():
    """The half dose is the less sure the further a target is away."""
    widths = []
    for model in (TOP, Model(4e6, 8e6), Model(1e9, 2e10), Model(7e10, 1.4e12)):
        low, high = np.quantile(np.log(half_doses(model)), (0.025, 0.975))
        widths.append(high - low)
    assert widths == sorted(widths)


@pytest.mark.parametrize("per_token", sorted(scaling.PER_TOKEN))
def test_models_of_too_few_tokens_do_not_use_their_size(per_token):
    """A size is of use as far as there are tokens for it, half of it at the stated ratio."""
    assert scaling.usable(1e9, 1e15, per_token) == pytest.approx(1e9, rel=1e-3)
    assert scaling.usable(1e9, 1e9 / per_token, per_token) == pytest.approx(5e8)
    assert scaling.usable(1e12, 1e6, per_token) == pytest.approx(1e6 * per_token, rel=0.01)


def saturated(per_token, seed=5):
    """Return the cases of a ladder whose sizes count only as far as their tokens let them."""
    cases = ladder(size=0.0, clusters=60, seed=seed)
    used = scaling.in_usable_size(cases, UNSEEN, TOP, per_token).features
    odds = 2.5 * np.log(np.exp(cases.features[:, 0]) / 32.0)
    odds += 3.0 * used[:, UNSEEN.index("log size")]
    labels = np.random.default_rng(seed).random(len(odds)) < expit(odds)
    return Cases(cases.features, labels, cases.family, cases.rung, cases.top)


def test_a_ladder_that_bends_is_carried_on_as_it_bends():
    """Where sizes stop to count on the ladder, ten times the size on the same tokens adds less."""
    gained = []
    for truth in (0.06, 4.0):
        found = scaling.fitted_law(UNSEEN, saturated(truth), np.zeros(len(UNSEEN)), TOP, 1)
        shift, _ = scaling.beyond(found, Model(10 * TOP.parameters, TOP.tokens))
        gained.append(np.average(shift, weights=scaling.weights(found)))
    assert gained[0] < gained[1] / 2


def test_pythias_largest_model_is_forecast_from_its_smaller_ones():
    """Log odds that are linear in log size from 70M to 410M give the rate of 12B within 10%."""
    sizes = np.log(np.array(list(PYTHIA), float))
    odds = logit(np.array(list(PYTHIA.values())) / SEQUENCES)
    slope, level = np.polyfit(sizes[:3], odds[:3], 1)
    folds = float(sizes[3] - sizes[2])
    ends = level + slope * sizes[2]
    found = expit(ends + scaling.turning(slope, slope, np.array(scaling.LENGTHS), folds))
    assert found == pytest.approx(expit(odds[3]), rel=0.1)


def test_the_same_ladder_gives_the_same_law():
    """Draws follow from the seed alone."""
    first = scaling.fitted_law(UNSEEN, ladder(), np.zeros(len(UNSEEN)), TOP, 1)
    again = scaling.fitted_law(UNSEEN, ladder(), np.zeros(len(UNSEEN)), TOP, 1)
    assert (first.betas == again.betas).all()
    assert (scaling.drawn_futures(first, 1) == scaling.drawn_futures(again, 1)).all()


def test_a_law_is_fitted_on_whole_families_of_a_bounded_number():
    """Above the bound a hash takes families out, each with all of its cases."""
    cases = ladder()
    some = scaling.fewer(cases, 200)
    assert 60 < len(some.label) < 400
    kept = set(some.family.tolist())
    assert len(some.label) == np.isin(cases.family, sorted(kept)).sum()
    assert scaling.fewer(cases, 10**6) is cases
