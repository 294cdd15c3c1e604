"""The log of events: what is written, and what of it is read again."""

import contextlib
import json

import pytest

from pipeline.engine import events
from pipeline.engine.progress import current


def lines(folder):
    """Return the events of a log."""
    text = (folder / events.EVENTS).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_command_is_in_the_log_from_its_begin_to_its_end(tmp_path):
    """Stages, progress and words of it are lines; the listener of before is back afterwards."""
    before = current()
    with events.logged(tmp_path, "scan") as log:
        current().stage("sketch", 2)
        current().advance(1, 4, "a shard\n")
        current().advance(2, 4, "too soon for another line")
        log.add("unit", stage="sketch", key="g00000", **events.used())
        current().unit_done("sketch")
        current().message("guessed")
    found = lines(tmp_path)
    assert [one["event"] for one in found] == [
        "begin", "stage", "progress", "unit", "message", "end",
    ]  # fmt: skip
    assert (found[0]["command"], found[1]["units"], found[2]["note"]) == ("scan", 2, "a shard\n")
    assert found[-1]["ok"] is True
    assert found[-1]["peak_bytes"] > 10_000_000
    assert current() is before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_a_command_that_ends_badly_says_so(tmp_path, stop):
    """The error goes on; also where the folder is gone and nothing can be written any more."""
    before = current()
    with pytest.raises(stop), events.logged(tmp_path, "filter"):
        raise stop
    assert lines(tmp_path)[-1]["ok"] is False
    with contextlib.suppress(stop), events.logged(tmp_path, "filter"):
        (tmp_path / events.EVENTS).unlink()
        (tmp_path / "events").rmdir()
        (tmp_path / "events").write_text("in the way")
        raise stop
    assert current() is before


def test_the_last_command_is_read_and_nothing_else(tmp_path):
    """Former commands, a line that a kill cut, and what is not of ours are left out."""
    assert events.last_command(tmp_path) == []
    log = events.EventLog(tmp_path)
    log.add("begin", command="scan")
    log.add("end", ok=True)
    log.add("begin", command="filter")
    with log.path.open("a") as stream:
        stream.write('[1]\nnull\n{"event": 7, "at": 1}\n{"event": "unit"}\n')
        stream.write(f'{"[" * 50_000}\n{{"event": "unit", "at": 1, "st')
    assert [one["event"] for one in events.last_command(tmp_path)] == ["begin"]
    assert events.last_command(tmp_path)[0]["command"] == "filter"


def test_only_the_end_of_a_long_log_is_read(tmp_path):
    """A log of any length is answered at once; what began before its end has no begin."""
    log = events.EventLog(tmp_path)
    log.add("begin", command="scan")
    with log.path.open("a") as stream:
        stream.write(f"{json.dumps({'event': 'message', 'at': 1, 'text': 'x' * 900})}\n" * 3_000)
    found = events.last_command(tmp_path)
    assert {one["event"] for one in found} == {"message"}
    assert 500 < len(found) < 1_200
