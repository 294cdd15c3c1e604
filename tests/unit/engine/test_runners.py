"""Mappers: every unit once, in bounded threads; errors as they are; Ctrl-C at once."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from flows.runners import AHEAD, QUIET, LocalMapper, PrefectMapper, as_done, quiet_prefect
from pipeline.config.load import load_config
from pipeline.engine.stage import Receipt, Work
from pipeline.errors import CorruptFile

ROOT = Path(__file__).resolve().parents[3]
CONFIG = load_config()


def child(program, **environment):
    """Start a fresh interpreter with the project importable."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def units(count):
    """Yield units of work that differ in their scan: 0, 1, 2 and so on."""
    for number in range(count):
        yield Work("sketch", "all", Path(), CONFIG, (), {}, scan=number)


def receipt(number):
    """Return the receipt of a unit that wrote no file."""
    return Receipt((), number, number)


def test_local_mapper_gives_every_receipt_with_the_place_of_its_work():
    """Each of ten units is run once and its receipt comes with its place, whatever ends first."""
    mapper = LocalMapper(3)
    found = dict(mapper("sketch", lambda work: receipt(work.scan**2), units(10)))
    assert found == {place: receipt(place * place) for place in range(10)}


def test_local_mapper_runs_at_most_so_many_at_once():
    """With three workers no more than three units are ever in work, and three are."""
    lock, now, most = threading.Lock(), 0, 0

    def count(work):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return receipt(work.scan)

    assert sorted(place for place, _ in LocalMapper(3)("sketch", count, units(12))) == [*range(12)]
    assert most == 3


def test_units_are_taken_only_as_fast_as_they_are_done():
    """Of endless units only as many are taken as may be handed out at a time."""
    taken = []

    def noted():
        for work in units(1_000_000):
            taken.append(work)
            yield work

    with ThreadPoolExecutor(1) as pool:
        done = as_done(lambda work: pool.submit(receipt, work.scan), noted(), limit=4)
        with contextlib.closing(cast(Generator[tuple[int, Future[Any]]], done)) as futures:
            first = [next(futures)[0] for _ in range(3)]
    assert first == [0, 1, 2]
    assert len(taken) <= 4 + len(first)


def test_no_units_are_no_receipts():
    """A stage with nothing to do yields nothing and starts nothing."""
    assert list(LocalMapper(2)("sketch", lambda work: receipt(work.scan), [])) == []


def test_the_first_error_is_raised_as_it_is_and_nothing_more_is_begun():
    """The pipeline's own error object comes out; units that had not begun never do."""
    error = CorruptFile("A file cannot be read.", where="s3.parquet")
    begun = []

    def fail(work):
        begun.append(work)
        if work.scan == 1:
            raise error
        time.sleep(0.05)
        return receipt(0)

    with pytest.raises(CorruptFile) as caught:
        list(LocalMapper(2)("sketch", fail, units(100)))
    assert caught.value is error
    assert len(begun) <= 2 * AHEAD + 1
    before = list(begun)
    time.sleep(0.2)
    assert begun == before


def test_units_that_had_begun_have_ended_when_an_error_comes_out():
    """Nothing of a failed stage writes on after its caller has heard of the error."""
    ended = threading.Event()

    def work_or_fail(work):
        if work.scan == 1:
            raise CorruptFile("A file cannot be read.")
        time.sleep(0.3)
        ended.set()
        return receipt(0)

    with pytest.raises(CorruptFile):
        list(LocalMapper(2)("sketch", work_or_fail, units(2)))
    assert ended.is_set()


class Handed:
    """What Prefect gives for a submitted task: the pool's future and the result behind it."""

    def __init__(self, future):
        self.wrapped_future = future

    def result(self):
        """Return the result as Prefect does, from the state in the future."""
        state = self.wrapped_future.result()
        if isinstance(state, Exception):
            raise state
        return state


def test_prefect_mapper_takes_results_from_states():
    """The future of a failed task holds a state; the mapper raises the error that is in it."""
    error = CorruptFile("A file cannot be read.")
    with ThreadPoolExecutor(2) as pool:

        def submit(stage, function, work):
            assert stage == "pairs"
            return Handed(pool.submit(function, work))

        mapper = PrefectMapper(submit, 2)
        found = dict(mapper("pairs", lambda work: receipt(-work.scan), units(5)))
        assert found == {place: receipt(-place) for place in range(5)}

        def state(work):
            return error if work.scan == 3 else receipt(0)

        with pytest.raises(CorruptFile) as caught:
            list(mapper("pairs", state, units(9)))
    assert caught.value is error


def test_local_runs_import_nothing_of_prefect():
    """The command line and the local mapper load no module of Prefect."""
    program = (
        "import sys, flows.cli, flows.summary, pipeline.run\n"
        "from flows.runners import LocalMapper\n"
        "assert dict(LocalMapper(1)('sketch', abs, [-1])) == {0: 1}\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] == 'prefect'))"
    )
    with child(program) as process:
        out, err = process.communicate(timeout=60)
    assert (out, err) == ("[]\n", "")


def test_ctrl_c_ends_a_local_run_in_the_middle_of_a_unit():
    """SIGINT is seen at once though a unit takes a minute and Polars has taken over the signal."""
    program = (
        "import time, polars\n"
        "from flows.runners import LocalMapper, leave\n"
        "def unit(work):\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(60)\n"
        "try:\n"
        "    list(LocalMapper(1)('sketch', unit, [1]))\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
        "    leave(130)\n"
    )
    with child(program) as process:
        assert process.stdout.readline() == "begun\n"
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "stopped\n", "")
    assert time.monotonic() - asked < 2


def test_prefect_is_quiet_unless_the_user_says_otherwise(monkeypatch):
    """What the user has set stays; a user who asks for Prefect's log gets it on the terminal."""
    for name in (*QUIET, "PREFECT_LOGGING_LEVEL", "PREFECT_DEBUG_MODE", "PREFECT_TEST_MODE"):
        monkeypatch.setenv(name, "")  # so that what is set below is undone at the end
        monkeypatch.delenv(name)
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    quiet_prefect()
    assert os.environ["DO_NOT_TRACK"] == "0"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] == "CRITICAL"
    monkeypatch.delenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL")
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "DEBUG")
    quiet_prefect()
    assert "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL" not in os.environ
