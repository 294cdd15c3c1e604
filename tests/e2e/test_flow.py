"""Prefect as the orchestrator: the same bytes as without, in silence, and gone when the run is."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import time
from pathlib import Path

import pytest

from flows.server import database
from tests.e2e import corpora
from tests.e2e.command import (
    FEW_PLANTS,
    QUICK_SCORE,
    assert_same_files,
    begin,
    ending,
    few_plants,
    fresh,
    manifest,
    rote,
)

PLANT = """
import dataclasses, sys, time
import pipeline.run as run
from pipeline.errors import CorruptFile, TransientIOError
sketch = run.SCAN[0]
tries = []
def planted(work):
    tries.append(work)
    {body}
    return sketch.function(work)
run.SCAN = (dataclasses.replace(sketch, function=planted), *run.SCAN[1:])
run.STAGES["sketch"] = run.SCAN[0]
"""
"""Makes the first stage fail or last as a test needs."""

SLEEP = PLANT.format(body="print('begun', flush=True); time.sleep(120)")
FAIL = PLANT.format(body="raise CorruptFile('A file cannot be read.', where='s3.parquet')")
FAIL_TWICE = PLANT.format(body="if len(tries) < 3: raise TransientIOError('Not now.')")
FOREIGN = PLANT.format(body=f"raise ValueError('{corpora.MARKER} is in a document')")


@pytest.fixture(scope="module", autouse=True)
def prefect_home(tmp_path_factory):
    """Give Prefect a folder of its own for these tests; return it."""
    home = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Return a corpus of several shards."""
    return corpora.small(tmp_path_factory.mktemp("corpus") / "corpus", shards=3)


def ask(query):
    """Return the rows that Prefect's history has for a query."""
    with contextlib.closing(sqlite3.connect(database())) as history:
        return history.execute(query).fetchall()


def texts_in(corpus, page):
    """Return what a page holds of a corpus: any four words in a row of any of its texts."""
    words = page.split()
    runs = {" ".join(words[at : at + 4]) for at in range(len(words))}
    documents = [
        json.loads(line)["text"] or ""
        for path in corpus.glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert len(documents) > 20
    cut = [text.split() for text in documents]
    return [
        at for text in cut for at in range(len(text) - 3) if " ".join(text[at : at + 4]) in runs
    ]


def without_times(text):
    """Return what a command said, without seconds and without what is said every ten of them."""
    lasting = re.sub(r"^\w+: [0-9]+%.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"[0-9.]+ s\b", "", lasting)


def servers():
    """Return the process numbers of the Prefect servers that the tests' commands started."""
    home = f"PREFECT_HOME={os.environ['PREFECT_HOME']}"
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            own = home in (entry / "environ").read_text(errors="replace").split("\0")
            if own and "flows/server.py" in (entry / "cmdline").read_text(errors="replace"):
                found.append(int(entry.name))
    return found


def assert_no_server(seconds):
    """Require that no server of these tests is left after so many seconds."""
    end = time.monotonic() + seconds
    while servers() and time.monotonic() < end:
        time.sleep(0.1)
    assert servers() == []


def test_with_and_without_prefect_the_bytes_and_the_words_are_the_same(
    tmp_path, corpus, monkeypatch
):
    """The flow writes what threads write, says what it says, and is in Prefect's history."""
    few_plants(monkeypatch)
    options = (*QUICK_SCORE, "--set=limits.workers=2")
    asked = ("run", corpus, "--out", tmp_path / "flow", "--prefect", *options)
    flow = fresh(*asked, prelude=FEW_PLANTS)
    assert flow.code == 0, flow.err
    local = rote("run", corpus, "--out", tmp_path / "local", "--local", *options)
    assert_same_files(tmp_path / "flow", tmp_path / "local")
    assert without_times(flow.err) == without_times(local.err)
    assert flow.out.replace("/flow", "") == local.out.replace("/local", "")
    (run, state), *_ = ask("select id, state_type from flow_run order by created desc")
    units = ask(f"select name, state_type from task_run where flow_run_id = '{run}'")  # noqa: S608
    expected = [name.replace("/", " ") for name in manifest(tmp_path / "flow")["outputs"]]
    assert state == "COMPLETED"
    assert sorted(units) == sorted((name, "COMPLETED") for name in expected)
    kept = dict(ask(f"select key, data from artifact where flow_run_id = '{run}'"))  # noqa: S608
    assert sorted(kept) == ["rote-counts", "rote-progress", "rote-report"]
    assert kept["rote-progress"] == 100
    stages = json.loads(json.loads(kept["rote-counts"]))
    assert [row["stage"] for row in stages][:2] == ["sketch", "copies"]
    assert ask("select name from flow_run order by created desc")[0] == ("corpus run 1",)
    page = json.loads(kept["rote-report"])
    assert f"({(tmp_path / 'flow' / 'report' / 'index.html').as_uri()})" in page
    assert (tmp_path / "flow" / "report" / "summary.md").read_text() in page
    assert texts_in(corpus, page) == []
    assert_no_server(0)


@pytest.mark.parametrize("option", ["--prefect", "--local"])
def test_an_error_in_a_unit_is_one_message(tmp_path, corpus, option):
    """With and without Prefect a pipeline error ends in its message alone and exit code 1."""
    ended = fresh("scan", corpus, "--out", tmp_path / "run", option, prelude=FAIL)
    assert (ended.code, ended.out) == (1, "")
    guess = "guessed for 3 of 3 files: text = text, id = id, source = source\n"
    assert ended.err == f"{guess}rote: A file cannot be read.\n  where: s3.parquet\n"


def test_ctrl_c_in_a_unit_ends_within_two_seconds(tmp_path, corpus):
    """SIGINT to the whole group, as a terminal sends it: code 130, one line, no server left."""
    group = f"import os; os.setsid()\n{SLEEP}"
    with ending(
        begin("scan", corpus, "--out", tmp_path / "run", "--prefect", prelude=group)
    ) as process:
        assert process.stdout.readline() == "begun\n"
        asked = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert time.monotonic() - asked < 2
    assert (process.returncode, out) == (130, "")
    guess = "guessed for 3 of 3 files: text = text, id = id, source = source\n"
    assert err.startswith(f"{guess}\nStopped; what is finished stays. To go on from here: ")
    assert err.count("\n") == 3
    assert_no_server(5)


@pytest.mark.slow
def test_transient_errors_are_tried_again(tmp_path, corpus):
    """A unit that fails twice with TransientIOError is done at the third try, without a word."""
    ended = fresh("scan", corpus, "--out", tmp_path / "run", "--prefect", prelude=FAIL_TWICE)
    assert ended.code == 0, ended.err
    assert "Not now" not in ended.err


@pytest.mark.slow
def test_errors_of_other_libraries_keep_their_words_from_prefect(tmp_path, corpus):
    """The message of an unexpected error may quote a document; Prefect's history has it not."""
    ended = fresh("scan", corpus, "--out", tmp_path / "run", "--prefect", prelude=FOREIGN)
    assert ended.code == 1
    assert "rote: This is a fault in rote itself" in ended.err
    assert "found: ValueError\n" in ended.err
    assert corpora.MARKER not in ended.err
    assert ask("select count(*) from flow_run_state where message like '%ValueError%'") > [(0,)]
    parts = [database(), *database().parent.glob(f"{database().name}-*")]
    assert not any(corpora.MARKER.encode() in part.read_bytes() for part in parts)


@pytest.mark.slow
def test_a_killed_run_leaves_no_server_and_can_be_run_again(tmp_path, corpus):
    """After kill -9 the server goes by itself, and the same command finishes the run."""
    asked = ("scan", corpus, "--out", tmp_path / "run", "--prefect")
    with ending(begin(*asked, prelude=SLEEP)) as process:
        assert process.stdout.readline() == "begun\n"
        process.kill()
        process.communicate()
    assert_no_server(6)
    assert fresh(*asked).code == 0


@pytest.mark.slow
def test_ctrl_c_does_not_wait_for_a_server_that_is_gone(tmp_path, corpus):
    """When the server was killed, SIGINT still ends the run within two seconds."""
    with ending(
        begin("scan", corpus, "--out", tmp_path / "run", "--prefect", prelude=SLEEP)
    ) as process:
        assert process.stdout.readline() == "begun\n"
        for number in servers():
            os.kill(number, signal.SIGKILL)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        process.communicate(timeout=30)
    assert time.monotonic() - asked < 2
    assert process.returncode == 130


@pytest.mark.slow
def test_runs_on_different_folders_work_side_by_side(tmp_path, corpus, monkeypatch):
    """Three first runs at once, with one history to create, all succeed and are all recorded."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    runs = [
        begin("scan", corpus, "--out", tmp_path / f"run{number}", "--prefect")
        for number in range(3)
    ]
    ended = [(process.communicate(timeout=200), process.returncode) for process in runs]
    assert [code for _, code in ended] == [0, 0, 0], ended
    assert ask("select state_type from flow_run") == [("COMPLETED",)] * 3
    assert_same_files(tmp_path / "run0", tmp_path / "run2")


@pytest.mark.slow
def test_a_server_that_the_user_names_is_used_or_missed(tmp_path, corpus, monkeypatch):
    """With PREFECT_API_URL nothing is started; when nobody answers there, one message says so."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}/api"
    monkeypatch.setenv("PREFECT_API_URL", address)
    ended = fresh("scan", corpus, "--out", tmp_path / "run")
    assert ended.code == 2
    assert ended.err.startswith("rote: The Prefect server that your settings name does not answer.")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_folder_of_prefect_that_cannot_be_made_is_one_message(tmp_path, corpus, monkeypatch):
    """When Prefect's folder cannot be written, the message names it and the ways out."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "file" / "prefect"))
    ended = fresh("scan", corpus, "--out", tmp_path / "run", "--prefect")
    assert ended.code == 1
    assert ended.err.startswith("rote: The temporary Prefect server cannot be started.")
    assert "--prefect" in ended.err


@pytest.mark.parametrize(
    ("cron", "complaint"),
    [
        ("every day", "The schedule is not a cron expression."),
        ("0 0 31 2 *", "The schedule never comes."),
    ],
)
def test_a_schedule_that_is_none_is_refused_before_anything_starts(
    tmp_path, corpus, cron, complaint
):
    """A wrong cron expression is one message, exit code 2, and no folder."""
    ended = rote("schedule", corpus, "--out", tmp_path / "run", "--cron", cron)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"rote: {complaint}\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_schedule_runs_when_it_is_due_and_ends_on_request(tmp_path, corpus, end):
    """Served every minute, the run folder is finished within two; then nothing is left."""
    options = (*QUICK_SCORE, "--cron", "* * * * *")
    scheduled = begin("schedule", corpus, "--out", tmp_path / "run", *options)
    with ending(scheduled) as process:
        said = [process.stdout.readline() for _ in range(5)]
        deadline = time.monotonic() + 150
        while not (tmp_path / "run" / "report" / "report.json").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.5)
        time.sleep(3)
        process.send_signal(end)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert said[0] == f"Scheduled: 1 inputs into {tmp_path / 'run'}\n"
    assert '"* * * * *"' in said[1]
    assert f"report: {tmp_path / 'run'}" in out
    assert out.endswith("The schedule has ended; the run folder stays as it is.\n")
    assert "Traceback" not in err
    assert "warning" not in err.lower()
    local = fresh("run", corpus, "--out", tmp_path / "local", "--local", *QUICK_SCORE)
    assert local.code == 0
    assert_same_files(tmp_path / "run", tmp_path / "local")
    assert_no_server(5)
