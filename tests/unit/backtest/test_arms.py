"""Arms: which documents they remove, and how they are compared at one held-out loss."""

import numpy as np
import pytest

from pipeline.backtest.arms.arms import require_arms
from pipeline.backtest.arms.results import TrainingCurve, same_loss
from pipeline.errors import ConfigError


def course(*losses):
    """Return a course whose one row is memorized as far as the time in marks says."""
    return TrainingCurve(np.array(losses), np.arange(len(losses), dtype=float)[:, None])


def common_loss(one, other):
    """Return the loss that both courses have, and when."""
    found = same_loss(one, other)
    assert found is not None
    return found


def test_falling_losses_are_compared_at_the_higher_final_one():
    """One ends at 3, the other at 2 and had 3 in the middle of its marks."""
    one, other = course(5.0, 4.0, 3.0), course(4.0, 3.5, 2.5)
    level, first, second = common_loss(one, other)
    assert (level, first) == (3.0, 2.0)
    assert second == pytest.approx(1.5)
    assert other.at(second).tolist() == [pytest.approx(1.5)]
    assert one.at(first).tolist() == [2.0]


def test_rising_losses_are_compared_on_the_rising_side():
    """Both overfit: the lower final loss, which the other had on its way up, not down."""
    one, other = course(5.0, 3.0, 4.0), course(5.0, 3.0, 6.0)
    level, first, second = common_loss(one, other)
    assert (level, first) == (4.0, 2.0)
    assert second == pytest.approx(1 + 1 / 3)


def test_losses_that_never_meet_are_not_compared():
    """One stays above all that the other ever had: there is nothing to say."""
    assert same_loss(course(9.0, 8.0), course(5.0, 4.0)) is None


def test_unknown_arms_are_refused():
    """An arm that does not exist is named, with those that do."""
    require_arms(("filter", "sinks"))
    with pytest.raises(ConfigError, match="no such arm") as caught:
        require_arms(("filter", "magic"))
    assert "magic" in str(caught.value)
