"""Progress lines: how far a unit is, and how long it will take at the pace of its part."""

import time

import pytest

from flows import terminal


@pytest.fixture
def told(monkeypatch, capsys):
    """Give a clock to set, a listener and the lines that it wrote."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress = terminal.PlainProgress()
    progress.stage("sequences", 1)

    def at(seconds, done, note):
        clock[0] = seconds
        progress.advance(done, 100, note)
        return capsys.readouterr().err

    return at


def test_a_part_that_has_just_begun_tells_no_time_left(told):
    """What other parts had done before it says nothing of its pace."""
    assert "left" not in told(20, 1, "training proxies")
    assert "about 188 s left" in told(30, 6, "training proxies")
    assert told(40, 11, "training proxies").count("about 178 s left") == 1
    assert "left" not in told(60, 50, "scoring sequences")
    assert "about 40 s left" in told(70, 60, "scoring sequences")
