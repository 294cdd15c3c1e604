"""The limits that a growing corpus meets."""

from benchmarks.carried import GB
from benchmarks.walls import walls


def test_walls_stand_in_the_order_in_which_they_are_met() -> None:
    """The first one is the smallest corpus, and each is at a size that can be."""
    sizes = [wall.at for wall in walls()]
    assert sizes == sorted(sizes)
    assert sizes[0] > GB
