"""`rote status`: what is current, what runs, how far it is; from the manifest and the log alone."""

import fcntl
import json
import shutil

import pytest

from flows.status import as_json, as_prometheus, in_words, status
from pipeline.engine.events import EventLog
from tests.e2e import corpora
from tests.e2e.command import files, rote


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """Return a run folder after a scan."""
    folder = tmp_path_factory.mktemp("status")
    corpus = corpora.small(folder / "corpus", shards=2, rows=12)
    assert rote("scan", corpus, "--out", folder / "run").code == 0
    return folder / "run"


@pytest.fixture
def run(tmp_path, scanned):
    """Return a copy of it."""
    return shutil.copytree(scanned, tmp_path / "run")


def test_a_finished_scan_is_told(run):
    """What is current, what was never made, how the last command ended; nothing changes."""
    before = files(run)
    said = rote("status", run)
    assert said.code == 0
    assert said.out.splitlines()[:5] == [
        "scan 1: 2 shards, 23 documents, 1 rejected",
        "  scan     current",
        "  score    not yet",
        "  filter   not yet",
        "  report   not yet",
    ]
    assert "last: rote scan ended well; " in said.out
    assert files(run) == before


def test_what_is_due_is_named(run):
    """Without one of its files a stage is due, and so is all that is made of it."""
    (run / "pairs" / "all.parquet").unlink()
    assert "  scan     due: pairs, families, counts\n" in in_words(status(run))


def test_a_command_that_runs_is_told_with_what_is_left(run):
    """It holds the lock; its share is of units and of the last word of the present one."""
    log = EventLog(run)
    log.add("begin", command="run", process=7)
    log.add("stage", stage="emit", units=4)
    log.add("unit", stage="emit", key="g00000", elapsed_s=2.5, cpu_s=8.0, peak_bytes=300_000_000)
    log.add("progress", done=1.0, total=2.0, note="a.jsonl")
    begun = json.loads(log.path.read_text().splitlines()[-3])["at"]
    with (run / ".lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = status(run, now=begun + 30)
    assert found.last is not None
    assert (found.last.running, found.last.share, found.last.left_s) == (True, 0.375, 50.0)
    assert (
        "running: rote run, emit (1 of 4 units), 38%, about 50 s left of it; 8 CPU seconds, "
        "300 MB at most" in in_words(found)
    )
    stopped = in_words(status(run))
    assert "last: rote run was stopped in emit; " in stopped
    assert json.loads(as_json(found))["last"]["units_done"] == 1


def test_a_collector_reads_it(run):
    """Each metric has its type; a stage is a label."""
    told = as_prometheus(status(run)).splitlines()
    assert "# TYPE rote_units_due gauge" in told
    assert 'rote_units_due{stage="counts"} 0' in told
    assert 'rote_units_due{stage="report"} 1' in told
    assert 'rote_rows{fate="documents"} 23' in told
    assert "rote_running 0" in told
    assert "rote_last_ok 1" in told


def test_a_log_of_someone_else_acts_on_nothing(run):
    """Words of it are on one line without controls, numbers that are none are 0."""
    evil = "\x1b]0;OWNED\x07\nrote: forged"
    log = EventLog(run)
    log.add("begin", command=evil)
    log.add("stage", stage=evil, units=evil)
    log.add("progress", done=evil, total=1e308, note=evil)
    log.add("unit", stage="counts", elapsed_s=evil, cpu_s=evil, peak_bytes=1e300)
    found = status(run)
    said = in_words(found)
    assert "\x1b" not in said
    assert not any(line.startswith("rote: ") for line in said.splitlines())
    assert as_prometheus(found).isascii()
    assert "\x1b" not in as_prometheus(found)
