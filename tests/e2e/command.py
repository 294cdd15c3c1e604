"""The command line: in this process, in a fork with all imports done, in a fresh interpreter.

A fork saves the second that imports take; it is a process of its own and may be killed. Most
commands need none: here loops are loaded and threads begun, which takes a fork as long as a scan.
"""

import contextlib
import gc
import hashlib
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.cli import main
from pipeline.corpus.room import MOST, give_room
from pipeline.engine.progress import Silent, listen
from pipeline.score.sequences import plants

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "from flows.cli import main; main()"
SECONDS = 200
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        __name__,
        "flows.summary",
        "pipeline.run",
        "pipeline.inspect.explain",
        "pipeline.score.sequences.training_rows",
        "pipeline.score.proxy.ensemble",
        "torch._dynamo",
        "tests.e2e.one_kernel",
    ]
)
QUICK_SCORE = (
    "--set=proxy.sample_tokens=3000",
    "--set=proxy.vocabulary=300",
    "--set=proxy.shapes=[[1,32],[1,64],[2,64]]",
    "--set=proxy.epochs=1",
    "--set=proxy.threads=1",
    "--set=score.max_tokens=8192",
)
FEW = {"DOSES": (1, 4, 16, 64), "CLUSTERS": (16, 16, 16, 16), "COPIES": 8}
"""A third of the plants, which are nine tenths of what QUICK_SCORE trains on.

For tests of what is written, by whom and how often, and not of what is forecast.
"""

FEW_PLANTS = "\n".join(
    ["import pipeline.score.sequences.plants as plants"]
    + [f"plants.{name} = {value}" for name, value in FEW.items()]
)
"""Makes a fresh interpreter plant few."""


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def performed(self):
        """The stages that did work, in order; those that were already done are left out."""
        lines = [line.partition(": done in ") for line in self.err.splitlines()]
        return [stage for stage, done, _ in lines if done]


def few_plants(patch):
    """Make this process plant few."""
    for name, value in FEW.items():
        patch.setattr(plants, name, value)


def environment():
    """Return this process's environment with the project importable in any folder."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def begin(*arguments, prelude=""):
    """Start `rote ARGUMENTS` in a fresh interpreter that runs `prelude` first; return it."""
    return subprocess.Popen(
        [sys.executable, "-c", f"{prelude}\n{PROGRAM}", *map(str, arguments)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fresh(*arguments, prelude="", seconds=SECONDS):
    """Run `rote ARGUMENTS` in a fresh interpreter, with its own hash seed and thread pools."""
    with begin(*arguments, prelude=prelude) as process:
        out, err = process.communicate(timeout=seconds)
    return Ended(process.returncode, out, err)


def rote(*arguments, before=None, after=None, apart=False):
    """Run `rote ARGUMENTS` in this process, or in a fork where one is needed.

    before: called in the fork first, a function of a module or a partial of one; a negative code
    is a signal. after: kill it after so many seconds. apart: for what is told of a process.
    """
    if apart or before is not None or after is not None:
        return _forked([*map(str, arguments)], before, SECONDS if after is None else after)
    give_room(MOST)
    listen(Silent())
    out, err = io.StringIO(), io.StringIO()
    interrupted = signal.getsignal(signal.SIGINT)
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main([*map(str, arguments)])
    finally:
        signal.signal(signal.SIGINT, interrupted)
        gc.enable()
        gc.unfreeze()
    code = ended.value.code
    assert isinstance(code, int)
    return Ended(code, out.getvalue(), err.getvalue())


def _forked(arguments, before, seconds):
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, name) for name in ("out", "err")]
        process = FORKS.Process(target=_child, args=(arguments, before, *map(str, said)))
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
        code = process.exitcode
        assert code is not None
        process.close()
        texts = [path.read_text() if path.exists() else "" for path in said]
    return Ended(code, *texts)


def _child(arguments, before, out, err):
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    if before is not None:
        before()
    main(arguments)


def files(folder):
    """Return the digest of each file of a run folder by name; events, which have times, apart."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "events" not in path.relative_to(folder).parts
    }


def assert_same_files(found, expected):
    """Require two run folders to be byte-identical, events apart, and name what is not."""
    one, other = files(found), files(expected)
    differing = sorted(name for name in one.keys() & other.keys() if one[name] != other[name])
    assert differing == [], differing
    unshared = sorted(one.keys() ^ other.keys())
    assert unshared == [], unshared


def manifest(folder):
    """Return the manifest of a run folder."""
    return json.loads((folder / "manifest.json").read_bytes())


@contextlib.contextmanager
def ending(process):
    """Make sure that a process that was begun does not outlive the block."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
