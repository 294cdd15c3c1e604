"""The bootstrap over whole units: what a draw holds, what it follows from, and its spread."""

import numpy as np
import pytest

from pipeline.score.forecast.bootstrap import each_draw, row_weights, times_drawn

UNIT = np.array([3, 3, 3, 8, 8, 1, 1, 5])


def test_rows_of_a_unit_are_drawn_together():
    """In each of 60 draws four units are drawn of four, and the rows of one as often as another."""
    weights = np.concatenate(list(row_weights(UNIT, 60, seed=1)))
    assert weights.shape == (60, 8)
    for name in np.unique(UNIT):
        own = weights[:, name == UNIT]
        assert (own == own[:, :1]).all()
    assert (weights[:, [0, 3, 5, 7]].sum(1) == 4).all()


@pytest.mark.parametrize("at_once", [1, 8, 17, 1 << 22])
def test_blocks_are_bounded_and_change_no_draw(at_once):
    """A block has no more numbers than asked for, or one draw; the draws are those of one block."""
    blocks = list(row_weights(UNIT, 50, 1, at_once))
    assert all(block.size <= max(at_once, 8) for block in blocks)
    assert np.array_equal(np.concatenate(blocks), np.stack(list(each_draw(UNIT, 50, 1))))


def test_draws_follow_from_the_seed_and_the_number_of_units():
    """Other names of the units and more rows of each change no draw; another seed does."""
    first = np.concatenate(list(times_drawn(4, 30, 1)))
    assert np.array_equal(first, np.stack(list(each_draw(np.array([9, 7, 6, 5]), 30, 1)))[:, ::-1])
    assert not np.array_equal(first, np.concatenate(list(times_drawn(4, 30, 2))))


def test_the_spread_of_a_mean_is_that_of_the_theory():
    """The mean of 400 values drawn again has the variance of the values over 400."""
    values = np.random.Generator(np.random.PCG64(1)).normal(size=400)
    means = [weight @ values / 400 for weight in each_draw(np.arange(400), 4_000, 1)]
    assert np.mean(means) == pytest.approx(values.mean(), abs=0.005)
    assert np.std(means) == pytest.approx(values.std() / 20, rel=0.05)


def test_no_unit_gives_draws_of_nothing():
    """Without a row there are as many draws, each of no weight."""
    assert [draw.shape for draw in each_draw(np.zeros(0, np.int64), 3, 1)] == [(0,)] * 3
