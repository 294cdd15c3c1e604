"""`rote schedule`: served for real, over a corpus that changes, with runs that are killed."""

import contextlib
import os
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from flows.server import database
from flows.silence import SILENCE_S
from tests import webhook
from tests.e2e import corpora
from tests.e2e.command import begin, ending, manifest, rote

SECRET = "T0P-S3CRET"  # noqa: S105 - of these tests
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


@pytest.fixture
def receiver():
    """Give a webhook on this machine."""
    with webhook.serving() as server:
        yield server


def runs():
    """Return name, state and tags of all runs in Prefect's history, the first one first."""
    if not database().exists():
        return []
    asked = "select name, state_type, tags from flow_run order by expected_start_time"
    with contextlib.closing(sqlite3.connect(database())) as history:
        try:
            return history.execute(asked).fetchall()
        except sqlite3.OperationalError:  # no table yet
            return []


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
    tmp_path, corpus, monkeypatch, receiver, prefect_home
):
    """The sensor starts a run at once, one for a new shard, none in between or after.

    A webhook hears of the first success and of the alarm that the second run raises; its address is
    nowhere.
    """
    monkeypatch.setenv("ROTE_NOTIFY_URL", f"{receiver.url}/{SECRET}")
    asked = ("schedule", corpus, "--out", tmp_path / "run", "--on-new-shards", "--poll", 1)
    with ending(begin(*asked, *SCHEDULE)) as process:
        until(lambda: ended(1), process)
        assert manifest(tmp_path / "run")["scan"] == 1
        time.sleep(4)
        assert ended(1)
        lines = (tmp_path / "shard-2.jsonl").read_text().splitlines()[:1] * 60
        (tmp_path / "shard-2.jsonl").write_text("\n".join(lines) + "\n")  # a cluster, and an alarm
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
    assert [path for path, _, _ in receiver.told] == [f"/{SECRET}"] * 2
    first, second = (facts for _, _, facts in receiver.told)
    assert (first["event"], first["run"], first["state"]) == (
        *("success", "corpus run --no-score 1", "COMPLETED"),
    )
    assert (second["event"], second["run"]) == ("alarm", "corpus run --no-score 2")
    assert any("holds 60 documents" in sentence for sentence in second["alarms"])
    assert SECRET not in out + err
    kept = [*prefect_home.rglob("*"), *(tmp_path / "run").rglob("*")]
    assert [path for path in kept if path.is_file() and SECRET.encode() in path.read_bytes()] == []
    with ending(begin(*asked, *SCHEDULE)) as process:  # it remembers what it has scanned
        said = [process.stdout.readline() for _ in range(5)]
        time.sleep(5)
        assert ended(2), said


def states():
    """Return the states of all runs, the first one first."""
    return [state for _, state, _ in runs()]


def process_of_run(schedule):
    """Return the number of the process that a schedule has spawned for a run."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError):
            above = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            if above == str(schedule) and "spawn_main" in (entry / "cmdline").read_text():
                return int(entry.name)
    raise AssertionError


@pytest.mark.slow
def test_a_run_that_is_killed_is_crashed_and_run_again(tmp_path, corpus, monkeypatch):
    """After kill -9 of its process alone the schedule goes on, and takes the corpus up again."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    asked = ("schedule", corpus, "--out", tmp_path / "run", "--on-new-shards", "--poll", 1)
    with ending(begin(*asked, *SCHEDULE)) as process:
        until(lambda: states() == ["RUNNING"], process)
        os.kill(process_of_run(process.pid), signal.SIGKILL)
        until(lambda: states()[:1] == ["CRASHED"], process, seconds=20)
        until(lambda: states() == ["CRASHED", "COMPLETED"], process)
    assert manifest(tmp_path / "run")["scan"] == 1


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_run_that_is_killed_with_its_schedule_does_not_stay_running(
    tmp_path, corpus, monkeypatch
):
    """Nobody is left to say that it crashed; the automation does, and the next run goes on."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    asked = ("schedule", corpus, "--out", tmp_path / "run", "--on-new-shards", "--poll", 1)
    with ending(begin(*asked, *SCHEDULE)) as process:
        until(lambda: states() == ["RUNNING"], process)
        time.sleep(2)  # the first heartbeat is on its way to the server
        os.kill(process_of_run(process.pid), signal.SIGKILL)
        process.kill()
    assert states() == ["RUNNING"]
    with ending(begin(*asked, *SCHEDULE)) as process:
        until(lambda: states()[:1] == ["CRASHED"], process, seconds=2 * SILENCE_S + 60)
        until(lambda: states() == ["CRASHED", "COMPLETED"], process)
    assert manifest(tmp_path / "run")["scan"] == 1


@pytest.mark.slow
def test_a_run_that_never_began_is_out_of_the_way_when_the_schedule_begins_again(
    tmp_path, corpus, monkeypatch
):
    """Killed after a run was handed out, and begun again in another way: at once, then at times."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    asked = ("schedule", corpus, "--out", tmp_path / "run", *SCHEDULE)
    with ending(begin(*asked, "--cron", "0 3 1 1 *")) as process:  # leaves runs of next years
        [process.stdout.readline() for _ in range(5)]
        time.sleep(8)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    with ending(begin(*asked, "--on-new-shards", "--poll", 1)) as process:
        until(lambda: "PENDING" in states(), process)
        with contextlib.suppress(AssertionError):
            os.kill(process_of_run(process.pid), signal.SIGKILL)
        process.kill()
    assert states() == ["PENDING"]
    with ending(begin(*asked, "--every", "1d")) as process:
        until(lambda: states()[:2] == ["CRASHED", "COMPLETED"], process)
