"""Where the system refuses something: one message of four parts, nothing half-written, then the
same bytes.
"""

import dataclasses
import errno
import os
import random
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flows.runners import LocalMapper
from pipeline import run as stages
from pipeline.config.load import load_config
from pipeline.engine.system import require_address_space
from pipeline.errors import OutOfMemory, PipelineError, RunFolderError
from tests.campaign.refusals import Failing
from tests.e2e import corpora
from tests.e2e.command import PROGRAM, environment, files, fresh, rote

REFUSALS = [errno.EIO, errno.ENOSPC, errno.EACCES, errno.ESTALE, None]  # None: no memory
SEED = 11
CALLS = ("open", "write", "fsync", "rename", "mkdir")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Return a corpus of two small shards."""
    return corpora.small(tmp_path_factory.mktemp("corpus") / "corpus", shards=2)


def told(ended, *words):
    """Require one message with a place and what to do, and these words; return the exit code."""
    assert ended.err.count("rote: ") == 1, ended.err
    assert "Traceback" not in ended.err
    message = ended.err.partition("rote: ")[2]
    parts = ("  where: ", "  to do: ", *words)
    assert [part for part in parts if part not in message] == [], message
    return ended.code


def a_file(folder):
    """Return a path below a file."""
    (folder / "file").write_text("mine")
    return folder / "file" / "run"


def a_dangling_link(folder):
    """Return a link to nothing."""
    (folder / "link").symlink_to(folder / "nowhere")
    return folder / "link"


def a_lock_that_is_a_folder(folder):
    """Return a folder whose lock cannot be one."""
    (folder / "run" / ".lock").mkdir(parents=True)
    return folder / "run"


PLACES = {
    "below-a-file": a_file,
    "dangling-link": a_dangling_link,
    "proc": lambda _: Path("/proc/rote-run"),
    "long": lambda folder: folder / ("x" * 300),
    "lock-is-a-folder": a_lock_that_is_a_folder,
}


@pytest.mark.parametrize("name", PLACES)
def test_an_output_that_cannot_be_made_is_one_message(tmp_path, corpus, name):
    """Whatever is in the way, it is named, and nothing else changes."""
    out = PLACES[name](tmp_path)
    before = files(tmp_path)
    assert told(rote("scan", corpus, "--out", out, "--local"), str(out)[:60]) == 1
    assert files(tmp_path) == before


def performed(corpus, out):
    """Scan and filter in this process."""
    config = load_config(settings=["limits.workers=2"])
    with stages.session(out, config, LocalMapper(2), corpus=[str(corpus)]) as opened:
        stages.scan(opened)
        stages.filter_rows(opened)


def worked(corpus, out):
    """Scan and filter in this process; return the files."""
    performed(corpus, out)
    return files(out)


@pytest.fixture(scope="module")
def clean(tmp_path_factory, corpus):
    """Return the files of a run in which nothing failed, and how often each call was made."""
    run = tmp_path_factory.mktemp("clean") / "run"
    with pytest.MonkeyPatch.context() as patch:
        counting = Failing(run)
        counting.install(patch)
        performed(corpus, run)
    return files(run), counting.calls  # reading them is none of the calls


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("kind", CALLS)
def test_when_the_nth_call_fails_nothing_is_lost(tmp_path, corpus, clean, kind, number):
    """The first call, one in the middle and a late one: an error of ours, then the same bytes."""
    expected, calls = clean
    draw = random.Random(f"{SEED} {kind} {number}")  # noqa: S311 - a choice of tests
    part = max(1, calls[kind] // 3)
    at = 1 if number == 0 else min(draw.randint(number * part, (number + 1) * part), calls[kind])
    code = REFUSALS[(CALLS.index(kind) + number) % len(REFUSALS)]
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        error = MemoryError() if code is None else OSError(code, os.strerror(code), str(run))
        Failing(run, kind, at, error).install(patch)
        with pytest.raises(PipelineError) as refused:
            worked(corpus, run)
    kinds = OutOfMemory if code is None else RunFolderError
    assert isinstance(refused.value, kinds), (at, refused.value)
    assert refused.value.where
    assert refused.value.fix
    assert worked(corpus, run) == expected


def test_a_run_folder_that_is_moved_meanwhile_is_one_message(tmp_path, corpus, clean, monkeypatch):
    """What was finished is in the moved folder, whole; back in its place the work goes on."""
    run, moved = tmp_path / "run", tmp_path / "moved"
    of_pairs = stages.STAGES["pairs"]

    def moving(work):
        receipt = of_pairs.function(work)
        run.rename(moved)
        return receipt

    changed = dataclasses.replace(of_pairs, function=moving)
    monkeypatch.setattr(
        stages, "SCAN", tuple(changed if s.name == "pairs" else s for s in stages.SCAN)
    )
    with pytest.raises(RunFolderError, match="gone") as refused:
        worked(corpus, run)
    assert "move it back" in refused.value.fix
    assert not run.exists()
    monkeypatch.undo()
    moved.rename(run)
    assert worked(corpus, run) == clean[0]


INTERRUPTED = """
import importlib.abc, os, signal, sys
class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
"""


@pytest.mark.parametrize("name", ["cyclopts", "pipeline.run", "duckdb", "flows.summary"])
def test_ctrl_c_in_an_import_ends_as_elsewhere(tmp_path, corpus, name):
    """Whatever is being imported: 130, the command to go on with, no traceback."""
    ended = fresh(
        "scan", corpus, "--out", tmp_path / "run", "--local", prelude=INTERRUPTED.format(name=name)
    )
    assert ended.code == 130, ended.err
    assert "\nStopped; what is finished stays. To go on from here: rote scan " in ended.err
    assert "Traceback" not in ended.err


@pytest.fixture(scope="module")
def scanned(tmp_path_factory, corpus):
    """Return a scanned run."""
    run = tmp_path_factory.mktemp("scanned") / "run"
    worked(corpus, run)
    return run


def in_a_shell(streams, *arguments):
    """Run a command with its standard streams as a shell makes them."""
    command = shlex.join([sys.executable, "-c", PROGRAM, *map(str, arguments)])
    return subprocess.run(
        ["sh", "-c", f"{command} {streams}"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_a_query_without_standard_input_is_one_message(scanned):
    """A closed input is no text."""
    ended = in_a_shell("<&-", "query", scanned, "--file", "-")
    assert ended.returncode == 2
    assert ended.stderr.startswith("rote: There is no standard input to read.\n  where: --file -\n")


def test_output_that_cannot_be_written_is_one_message(scanned):
    """A full device behind the output is said; a closed output harms no file."""
    ended = in_a_shell("> /dev/full", "query", scanned, "--text", "x")
    assert (ended.returncode, ended.stderr.count("rote: ")) == (1, 1)
    assert "Traceback" not in ended.stderr
    before = files(scanned)
    assert in_a_shell(">&- 2>&-", "filter", scanned, "--local").returncode == 0
    assert files(scanned) == before


def test_a_fault_that_nobody_foresaw_is_one_message_without_words_of_a_document(tmp_path, corpus):
    """The place and the kind are told; what another library says may quote a text."""
    fault = "import pipeline.scan.families as f\ndef broken(work): raise KeyError('SECRET')\n"
    prelude = f"{fault}f.families = broken"
    ended = fresh("scan", corpus, "--out", tmp_path / "run", "--local", prelude=prelude)
    assert told(ended, "found: KeyError", "ROTE_TRACEBACK") == 1
    assert "SECRET" not in ended.err


@pytest.mark.parametrize("kilobytes", [60_000, 150_000, 500_000, 1_300_000])
def test_too_little_address_space_is_one_message(tmp_path, corpus, kilobytes):
    """No library is left to fail in its own words."""
    words = [sys.executable, "-c", PROGRAM, "scan", corpus, "--out", tmp_path / "run", "--local"]
    command = f"ulimit -v {kilobytes}; exec {shlex.join(map(str, words))}"
    ended = subprocess.run(
        ["sh", "-c", command], env=environment(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("rote: The address space of this process is too small")
    assert f"found: {kilobytes:,} kB" in ended.stderr
    assert ended.stderr.count("\n") == 5
    assert not (tmp_path / "run").exists()


def test_a_library_that_does_not_load_under_a_limit_is_one_message(monkeypatch):
    """A limit above the least may still be too low; without one a failed import is a fault."""
    limit = 4_000_000 * 1024
    monkeypatch.setattr("resource.getrlimit", lambda _: (limit, limit))
    require_address_space()
    with pytest.raises(OutOfMemory, match="too small") as refused:
        require_address_space(ImportError("failed to map segment"))
    assert refused.value.found == "4,000,000 kB"
    monkeypatch.setattr("resource.getrlimit", lambda _: (resource.RLIM_INFINITY, 0))
    require_address_space(ImportError("no such module"))
