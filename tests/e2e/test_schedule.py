"""`rote schedule`: served for real, over a corpus that changes, with runs that are killed."""

import contextlib
import os
import shutil
import signal
import sqlite3
import time

import pytest

from flows.server import database
from tests.e2e import corpora
from tests.e2e.command import begin, ending, manifest, rote

SCHEDULE = ("--no-score", "--set=limits.workers=1")


@pytest.fixture(scope="module", autouse=True)
def prefect_home(tmp_path_factory):
    """Give Prefect a folder of its own for these tests; return it."""
    home = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("PREFECT_", "ROTE_"))]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(home))
        yield home


@pytest.fixture
def corpus(tmp_path):
    """Return a corpus of two shards, and one more beside it that may join."""
    folder = corpora.small(tmp_path / "corpus", shards=3)
    shutil.move(folder / "shard-2.jsonl", tmp_path / "shard-2.jsonl")
    return folder


def runs():
    """Return name, state and tags of all runs in Prefect's history, the first one first."""
    if not database().exists():
        return []
    with contextlib.closing(sqlite3.connect(database())) as history:
        asked = "select name, state_type, tags from flow_run order by expected_start_time"
        return history.execute(asked).fetchall()


def until(what, process, seconds=120):
    """Wait until something is so, while the schedule lives."""
    end = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, runs()
        time.sleep(0.3)


def ended(number):
    """Tell whether so many runs have ended well, and none is on its way."""
    return [state for _, state, _ in runs()] == ["COMPLETED"] * number


@pytest.mark.parametrize(
    "options", [(), ("--cron", "0 3 * * *", "--every", "6h"), ("--every", "6h", "--on-new-shards")]
)
def test_a_schedule_has_one_of_three_ways_to_be_due(tmp_path, options):
    """None and two of them are refused, with the three named."""
    refused = rote("schedule", tmp_path, "--out", tmp_path / "run", *options)
    assert refused.code == 2
    assert "--cron EXPRESSION, --every 6h or --on-new-shards, one of them" in refused.err


@pytest.mark.slow
def test_a_corpus_that_gains_a_shard_is_scanned_again_and_one_that_does_not_is_not(
    tmp_path, corpus
):
    """The sensor starts a run at once, one for a new shard, none in between or after."""
    asked = ("schedule", corpus, "--out", tmp_path / "run", "--on-new-shards", "--poll", 1)
    with ending(begin(*asked, *SCHEDULE)) as process:
        until(lambda: ended(1), process)
        assert manifest(tmp_path / "run")["scan"] == 1
        time.sleep(4)
        assert ended(1)
        shutil.move(tmp_path / "shard-2.jsonl", corpus / "shard-2.jsonl")
        until(lambda: ended(2), process)
        assert manifest(tmp_path / "run")["scan"] == 2
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "looked for every 1 s" in out
    assert "Traceback" not in err
    assert ended(2)
    with ending(begin(*asked, *SCHEDULE)) as process:  # it remembers what it has scanned
        said = [process.stdout.readline() for _ in range(5)]
        time.sleep(5)
        assert ended(2), said
