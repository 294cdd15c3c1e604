"""Metrics of the back-test: against scikit-learn and by hand, ties and weights included."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.backtest.judgement import metrics
from pipeline.backtest.judgement.metrics import JudgedSample

RANDOM = np.random.default_rng(3)
TRUTH = RANDOM.random(300) < 0.3
SCORE = np.round(TRUTH + RANDOM.normal(size=300), 1)  # one decimal: many ties
WEIGHT = RANDOM.integers(0, 4, (5, 300)).astype(float)


def ranked(score, truth, weight=None):
    """Return the curve of a score, unweighted unless weights are given."""
    truth = np.array(truth, np.bool_)
    weight = np.ones((1, len(truth))) if weight is None else weight
    return metrics.curve(np.array(score, float), truth, weight)


def test_average_precision_is_scikit_learns_under_every_weighting():
    """Ties are one threshold, weights are counts: scikit-learn's number in each draw."""
    found = metrics.average_precision(ranked(SCORE, TRUTH, WEIGHT))
    wanted = [average_precision_score(TRUTH, SCORE, sample_weight=own) for own in WEIGHT]
    assert found == pytest.approx(wanted, abs=1e-12)


def test_roc_auc_is_scikit_learns_under_every_weighting():
    """The same, of the area under the ROC curve."""
    found = metrics.roc_auc(ranked(SCORE, TRUTH, WEIGHT))
    wanted = [roc_auc_score(TRUTH, SCORE, sample_weight=own) for own in WEIGHT]
    assert found == pytest.approx(wanted, abs=1e-12)


def test_recall_at_a_precision_is_the_best_that_reaches_it():
    """Of ranks + + - + -, precision 0.75 is reached at three of three; 0.9 at two."""
    of = ranked([5, 4, 3, 2, 1], [1, 1, 0, 1, 0])
    assert metrics.recall_at_precision(of, np.array([0.75])).tolist() == [1.0]
    assert metrics.recall_at_precision(of, np.array([0.9])).tolist() == [pytest.approx(2 / 3)]
    assert metrics.recall_at_precision(ranked([2, 1], [0, 1]), np.array([0.9])).tolist() == [0.0]


def test_a_tie_is_never_broken_in_favour_of_the_score():
    """Two rows of one score, one of each kind: no threshold calls only the right one."""
    of = ranked([1, 1, 0], [1, 0, 0])
    assert metrics.recall_at_precision(of, np.array([0.9])).tolist() == [0.0]
    assert metrics.average_precision(of).tolist() == [0.5]


def test_recall_at_errors_counts_what_comes_before_that_many():
    """Of ranks + - + - +, two thirds are found before the second error."""
    of = ranked([5, 4, 3, 2, 1], [1, 0, 1, 0, 1])
    assert metrics.recall_at_errors(of, 2).tolist() == [pytest.approx(2 / 3)]
    assert metrics.recall_at_errors(of, 100).tolist() == [1.0]


def test_a_flag_has_precision_and_recall_the_right_way_round():
    """Two called, one rightly, of three memorized: precision 1/2, recall 1/3."""
    flag = np.array([1, 1, 0, 0, 0], np.bool_)
    truth = np.array([1, 0, 1, 1, 0], np.bool_)
    weight = np.ones((1, 5))
    assert metrics.flag_precision(flag, truth, weight).tolist() == [0.5]
    assert metrics.flag_recall(flag, truth, weight).tolist() == [pytest.approx(1 / 3)]


def test_skill_is_nothing_for_the_base_rate_and_one_for_the_truth():
    """Brier skill is 0 for the base rate, 1 for the truth, below 0 for its opposite."""
    weight = np.ones((1, 300))
    base = np.full(300, TRUTH.mean())
    assert metrics.brier_skill(base, TRUTH, weight)[0] == pytest.approx(0.0)
    assert metrics.brier_skill(TRUTH.astype(float), TRUTH, weight)[0] == pytest.approx(1.0)
    assert metrics.brier_skill((~TRUTH).astype(float), TRUTH, weight)[0] < -1.0


def test_log_loss_is_in_nats():
    """Half said of everything costs ln 2."""
    found = metrics.log_loss(np.full(300, 0.5), TRUTH, np.ones((1, 300)))
    assert found[0] == pytest.approx(np.log(2.0))


def test_calibration_finds_the_line_that_the_truth_was_drawn_from():
    """Truth drawn at logit 1 + 0.5 x: intercept and slope come back, also from saturated risks."""
    random = np.random.default_rng(0)
    risk = np.clip(random.beta(0.3, 0.3, 20_000), 1e-5, 1 - 1e-5)
    truth = random.random(20_000) < expit(1.0 + 0.5 * logit(risk))
    intercept, slope = metrics.calibration(risk, truth, np.ones((2, 20_000)))
    assert intercept == pytest.approx([1.0, 1.0], abs=0.1)
    assert slope == pytest.approx([0.5, 0.5], abs=0.03)


def test_holm_is_the_textbooks():
    """Of 0.01, 0.04, 0.03: times 3, 1 and 2, never falling."""
    assert metrics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_two_sided_p_is_twice_the_smaller_tail():
    """One draw of a hundred at or below 0: p is 0.02; none: 1 / draws."""
    values = np.concatenate(([1.0, -1.0], np.ones(99)))
    assert metrics.two_sided(values) == pytest.approx(0.02)
    assert metrics.two_sided(np.ones(101)) == pytest.approx(0.01)


def test_draws_are_of_whole_units_and_do_not_depend_on_the_blocks():
    """Rows of a unit weigh the same in a draw; the first is the sample; blocks change nothing."""
    unit = np.array([4, 4, 9, 9, 9, 1])
    sample = JudgedSample(np.ones(6, np.bool_), unit, np.array([1.0, 1, 2, 2, 2, 1]))
    whole = np.concatenate(list(sample.blocks(50, 1, 1 << 20)))
    small = np.concatenate(list(sample.blocks(50, 1, 18)))
    assert np.array_equal(whole, small)
    assert whole.shape == (51, 6)
    assert whole[0].tolist() == [1, 1, 2, 2, 2, 1]
    assert (whole[:, 0] == whole[:, 1]).all()
    assert (whole[:, 2] == whole[:, 4]).all()
    assert (whole[:, 0] + whole[:, 2] / 2 + whole[:, 5] == 3).all()
