"""Measures of memorization on numbers worked out by hand, and on those of their papers."""

import math

import numpy as np
import pytest
import torch

from pipeline.score.signals.extraction import (
    log_p_z,
    memorized,
    probability_within,
    run_length,
    tries_needed,
)
from pipeline.score.signals.gap import gap_bits
from pipeline.score.signals.min_k import min_k, standardised
from pipeline.score.signals.zlib import zlib_bits_per_byte

HITS = torch.tensor(
    [
        [True, True, True, True],
        [True, True, False, True],
        [False, True, True, True],
    ]
)


def test_a_hundred_tries_at_one_percent():
    """A suffix of p_z = 0.01 appears in 100 samples with probability 0.6340 (Hayes et al.)."""
    assert probability_within(math.log(0.01), 100) == pytest.approx(0.6339677, abs=1e-7)


def test_tries_for_an_even_chance_at_one_percent():
    """A suffix of p_z = 0.01 needs 68.97 samples, so 69 whole ones, for an even chance."""
    tries = tries_needed(math.log(0.01), 0.5)
    assert tries == pytest.approx(68.9676, abs=1e-4)
    assert math.ceil(tries) == 69
    assert probability_within(math.log(0.01), 68) < 0.5 <= probability_within(math.log(0.01), 69)


@pytest.mark.parametrize("log_p", [-0.001, -1.0, -10.0, -30.0])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.999])
def test_tries_are_the_inverse_of_probability(log_p, probability):
    """The tries that a probability needs give that probability, for tiny p_z too."""
    tries = tries_needed(log_p, probability)
    assert probability_within(log_p, tries) == pytest.approx(probability, rel=1e-9)


def test_small_probabilities_are_not_rounded_away():
    """A p_z of e^-30 in a million tries is a million times as probable, not zero."""
    assert probability_within(-30.0, 1e6) == pytest.approx(9.3576e-8, rel=1e-4)


def test_ends_of_the_probability_scale():
    """A certain suffix takes one try; one whose probability underflows takes infinitely many."""
    assert (probability_within(0.0, 5), tries_needed(0.0, 0.5)) == (1.0, 1.0)
    assert (probability_within(-2000.0, 100), tries_needed(-2000.0, 0.5)) == (0.0, math.inf)


def test_log_p_z_is_the_log_of_the_product():
    """The log probability of a suffix is the log of the product of its tokens' probabilities."""
    steps = torch.tensor([[0.5, 0.25, 0.8], [1.0, 1.0, 0.1]], dtype=torch.float64)
    assert log_p_z(steps.log()).exp().tolist() == pytest.approx([0.1, 0.1])


def test_memorized_needs_every_token():
    """A suffix is memorized only when each of its tokens is the arg-max."""
    assert memorized(HITS).tolist() == [True, False, False]


def test_run_length_ends_at_the_first_miss():
    """The run ends at the first miss; hits after it do not count."""
    assert run_length(HITS).tolist() == [4, 2, 0]


def test_gap_is_in_bits_and_signed_by_the_half_that_saw_it():
    """A suffix 8 times as probable to the model that saw it has a gap of 3 bits on either side."""
    seen, unseen = math.log(0.8), math.log(0.1)
    first, second = np.array([seen, unseen, seen]), np.array([unseen, seen, unseen])
    gaps = gap_bits(first, second, np.array([[2, 0], [0, 1], [0, 3]]))
    assert gaps.tolist() == pytest.approx([3.0, 3.0, -3.0])


def test_gap_is_missing_where_both_or_neither_saw_it():
    """There is no gap where both halves saw a row, or neither did."""
    gaps = gap_bits(np.full(2, -1.0), np.full(2, -2.0), np.array([[1, 1], [0, 0]]))
    assert np.isnan(gaps).tolist() == [True, True]


def test_min_k_is_the_mean_of_the_lowest_fifth():
    """Of ten tokens the two least probable are averaged, wherever they stand."""
    row = torch.tensor([[-1.0, -9.0, -2.0, -3.0, -0.5, -4.0, -7.0, -0.1, -0.2, -0.3]])
    assert min_k(row).tolist() == [-8.0]


def test_min_k_of_few_tokens_is_of_one_at_least():
    """A fifth of three tokens is not none of them: the least probable one is taken."""
    assert min_k(torch.tensor([[-1.0, -5.0, -2.0]])).tolist() == [-5.0]


def test_min_k_share_of_sixty_four_tokens():
    """A fifth of 64 tokens is 12 of them, rounded down."""
    row = -torch.arange(64.0).unsqueeze(0)
    assert min_k(row).tolist() == [-57.5]


def test_min_k_plus_plus_standardises_by_the_models_own_distribution():
    """Over probabilities 1/4 and 3/4 the standardised scores are -sqrt(3) and 1/sqrt(3)."""
    p = torch.tensor([0.25, 0.75], dtype=torch.float64)
    mean, square = (p * p.log()).sum(), (p * p.log() ** 2).sum()
    scores = standardised(p.log(), mean, square)
    assert scores.tolist() == pytest.approx([-math.sqrt(3), 1 / math.sqrt(3)])


def test_min_k_plus_plus_of_a_certain_model_is_finite():
    """A distribution without spread gives a score of 0, not a division by zero."""
    zero = torch.zeros(1)
    assert standardised(zero, zero, zero).tolist() == [0.0]


def test_zlib_bits_of_known_streams():
    """The raw deflate sizes of a few texts, in bits per byte, are as worked out by hand."""
    # One fixed block: 3 bits of header, 8 of the literal, 7 of the end: 3 bytes.
    assert zlib_bits_per_byte(b"a") == 24.0
    assert zlib_bits_per_byte(b"") == 0.0
    # Random bytes are stored: 5 bytes of header, no gain.
    noise = np.random.Generator(np.random.PCG64(7)).bytes(1000)
    assert zlib_bits_per_byte(noise) == pytest.approx(8 * 1005 / 1000)


def test_zlib_sees_repetition_within_a_text():
    """Text that repeats itself costs less than a bit per byte, plain prose several."""
    prose = b"The quick brown fox jumps over the lazy dog while nobody is looking."
    assert zlib_bits_per_byte(prose) > 5.0
    assert zlib_bits_per_byte(prose * 20) < 0.7
