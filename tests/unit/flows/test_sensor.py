"""When the sensor of a schedule starts a run."""

import pytest

from flows.sensor import TRIES, Past, is_due

HERE, OTHER = "1f", "2e"


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ([], True),
        ([Past("COMPLETED", HERE)], False),
        ([Past("COMPLETED", OTHER), Past("COMPLETED", HERE)], True),
        ([Past("COMPLETED", "")], True),
        ([Past("FAILED", HERE)], False),
        ([Past("CANCELLED", HERE)], False),
        ([Past("RUNNING", OTHER)], False),
        ([Past("SCHEDULED", OTHER), Past("COMPLETED", OTHER)], False),
        ([Past("COMPLETED", OTHER), Past("PENDING", HERE)], False),
        ([Past("CRASHED", HERE), Past("COMPLETED", OTHER)], True),
        ([Past("CRASHED", HERE)] * (TRIES - 1), True),
        ([Past("CRASHED", HERE)] * TRIES, False),
        ([Past("CRASHED", OTHER)] * TRIES, True),
    ],
)
def test_a_run_is_started_for_another_listing_and_for_one_whose_run_was_killed(past, expected):
    """Not while a run is on its way, not for what a run has ended on, not again and again."""
    assert is_due(HERE, past) is expected
