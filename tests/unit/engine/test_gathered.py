"""Outputs that wait to be recorded together."""

import pytest

from pipeline.engine import gathered
from pipeline.engine.gathered import Gathered


class Clock:
    """A clock that only a commit and the test move on."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Give the clock by which entries wait."""
    clock = Clock()
    monkeypatch.setattr(gathered, "time", clock)
    return clock


def recorder(clock, cost):
    """Return what gathers entries, and the outputs of each commit, which takes so many seconds."""
    commits: list[list[str]] = []

    def commit(entries):
        clock.now += cost
        commits.append([*entries])

    return Gathered(commit), commits


def test_what_is_recorded_quickly_is_recorded_at_once(clock):
    """Where the manifest is small, a kill loses no finished unit."""
    held, commits = recorder(clock, 0.01)
    for number in range(3):
        held.add(f"sketch/{number}", {})
    assert commits == [["sketch/0"], ["sketch/1"], ["sketch/2"]]


def test_recording_takes_a_twentieth_of_the_time(clock):
    """A manifest that takes 2 s to write is written once in 40 s, with all that finished then."""
    held, commits = recorder(clock, 2.0)
    for number in range(100):
        clock.now += 1
        held.add(f"sketch/{number}", {})
    assert [len(outputs) for outputs in commits] == [1, 40, 40]
    held.flush()
    assert [len(outputs) for outputs in commits] == [1, 40, 40, 19]
    assert [output for outputs in commits for output in outputs] == [
        f"sketch/{number}" for number in range(100)
    ]
    held.flush()
    assert len(commits) == 4


def test_a_commit_that_fails_is_not_made_again():
    """What the error has left half-done is for the next command, not for the end of this one."""
    tried = []

    def refuse(entries):
        tried.append([*entries])
        raise OSError("no room")

    held = Gathered(refuse)
    with pytest.raises(OSError, match="no room"):
        held.add("sketch/0", {})
    held.flush()
    assert tried == [["sketch/0"]]
