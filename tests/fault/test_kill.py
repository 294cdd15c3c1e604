"""A run that is killed anywhere, and started again, ends with the bytes of one that was not."""

import functools
import os
import random
import shutil
import signal
import time

import pytest

from pipeline import run as stages
from pipeline.absent import MANIFEST
from pipeline.engine import files as written
from pipeline.engine import run_folder as store
from pipeline.engine.session import Session
from pipeline.scan import inventory
from pipeline.scan.repeats import known
from tests.e2e import corpora
from tests.e2e.command import (
    QUICK_SCORE,
    assert_same_files,
    begin,
    ending,
    few_plants,
    files,
    manifest,
    rote,
)

SEED = 20
STAGES = [stage.name for stage in (*stages.SCAN, *stages.SCORE, *stages.FILTER, *stages.REPORT)]
MOMENTS = ("writing", "written", "renamed", "recording", "recorded")
"""Within a file, before its rename and after that of the first, within the manifest, and after."""

IN_THE_CHILD = pytest.MonkeyPatch()
"""Changes the process that is to die; nothing is ever set back."""

GROUP_BYTES = 20_000
MANY_GROUPS = f"import pipeline.scan.inventory; pipeline.scan.inventory.GROUP_BYTES = {GROUP_BYTES}"
SLOW_PAIRS = """
import time
import pipeline.engine.files as written
publish = written.publish
def wait(temporary, final, table, *facts):
    if table == "pairs":
        print("here", flush=True)
        time.sleep(60)
    return publish(temporary, final, table, *facts)
written.publish = wait
"""


def die():
    """End this process as the kernel does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def in_groups(patch):
    """Make small groups of shards, plant few, and go on from the last output whatever changed."""
    few_plants(patch)
    patch.setattr(inventory, "GROUP_BYTES", GROUP_BYTES)
    patch.setattr(known, "MOST", 0)


def kill_at(stage, moment, place=1):
    """Make this process die in a stage, at the place-th time that the moment comes."""
    in_groups(IN_THE_CHILD)
    if stage is None:
        return
    at, left = [None], [place]
    perform = Session.perform

    def noted(session, which):
        at[0] = which.name
        perform(session, which)

    def here(when):
        if at[0] == stage and when == moment:
            left[0] -= 1
            return left[0] == 0
        return False

    IN_THE_CHILD.setattr(Session, "perform", noted)
    _kill_in_files(here)
    _kill_in_manifest(here)


def _kill_in_files(here):
    publish = written.publish

    def dying(temporary, final, *facts):
        if here("writing"):
            os.truncate(temporary, temporary.stat().st_size // 2)
            die()
        if here("written"):
            die()
        return publish(temporary, final, *facts)

    def halfway(finals):
        if here("renamed") and finals:
            named(finals[:1])
            die()
        named(finals)

    named = written.named
    IN_THE_CHILD.setattr("pipeline.engine.run_folder.named", halfway)
    IN_THE_CHILD.setattr(written, "publish", dying)


def _kill_in_manifest(here):
    commit, save = store.RunFolder.commit_all, store.RunFolder.save

    def dying(folder, entries):
        if here("recording"):
            whole = (folder.folder / MANIFEST).read_bytes()
            half = folder.folder / f"{MANIFEST}{written.TEMPORARY}"
            half.write_bytes(whole[: len(whole) // 2])
            die()
        commit(folder, entries)
        if here("recorded"):
            die()

    def forgetting(folder):
        save(folder)
        if here("forgotten"):
            die()

    IN_THE_CHILD.setattr(store.RunFolder, "commit_all", dying)
    IN_THE_CHILD.setattr(store.RunFolder, "save", forgetting)


def killed(command, stage, moment, place=1):
    """Run a command that dies in a stage at a moment."""
    ended = rote(*command, before=functools.partial(kill_at, stage, moment, place))
    assert ended.code == -signal.SIGKILL, ended.err
    return ended


def finished(command):
    """Run a command to its end, in this process, with the groups of one that dies."""
    with pytest.MonkeyPatch.context() as patch:
        in_groups(patch)
        ended = rote(*command)
    assert ended.code == 0, ended.err
    return ended


def no_traces(run):
    """Tell that no temporary file or spill folder is left."""
    return not [
        path for path in run.rglob("*") if written.TEMPORARY in path.name or ".spill" in path.name
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Return a corpus of four shards under 1 MB."""
    folder = corpora.small(tmp_path_factory.mktemp("corpus") / "corpus")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
    return folder


@pytest.fixture(scope="module")
def command(corpus):
    """Return the command without its run folder."""
    return ("run", corpus, "--local", "--set=limits.workers=2", *QUICK_SCORE, "--out")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, command):
    """Return the folder of a run that nobody killed."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    finished((*command, run))
    return run


def moments(stage, draws=1):
    """Return seeded moments of a stage, each with how often it comes before the kill."""
    chosen = random.Random(f"{SEED} {stage}")  # noqa: S311 - a choice of tests
    return [
        (moment, 1 if draws == 1 else chosen.randint(1, 2))
        for moment in chosen.sample(MOMENTS, draws)
    ]


def test_one_run_killed_in_every_stage_ends_with_the_same_bytes(tmp_path, command, undisturbed):
    """The same command, again after a kill in each stage, passes over what was finished."""
    run = tmp_path / "run"
    expected = manifest(undisturbed)["outputs"]
    for number, stage in enumerate(STAGES):
        ((moment, place),) = moments(stage)
        ended = killed((*command, run), stage, moment, place)
        assert ended.err.count("already done") >= max(0, number - 1), stage
        for output, entry in manifest(run)["outputs"].items():
            assert entry == expected[output], (stage, moment)
    finished((*command, run))
    assert_same_files(run, undisturbed)
    assert no_traces(run)


def test_the_seeded_kills_are_of_every_kind():
    """Over the stages the default test dies at each of the five moments."""
    assert {moments(stage)[0][0] for stage in STAGES} == set(MOMENTS)


def test_a_kill_before_anything_was_done_is_no_harm(tmp_path, corpus):
    """A folder that has a lock and a half-written first manifest is still ours and still empty."""
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").write_text("4194304")
    (run / "manifest.json.rote-tmp").write_text('{"rote"')
    command = ("scan", corpus, "--local", "--out")
    finished((*command, run))
    finished((*command, tmp_path / "other"))
    assert_same_files(run, tmp_path / "other")


@pytest.fixture(scope="module")
def changed(tmp_path_factory, corpus):
    """Scan a corpus, change it; return the command, that run, and an undisturbed second scan."""
    folder = tmp_path_factory.mktemp("changed")
    shards = shutil.copytree(corpus, folder / "corpus")
    command = ("scan", shards, "--local", "--set=limits.workers=1", "--out")
    finished((*command, folder / "first"))
    text = corpora.Prose(4).text(150)
    corpora.write(shards / "shard-0.jsonl", [{"id": "changed", "text": text}])
    corpora.write(shards / "shard-9.jsonl", [{"id": "new", "text": text}])
    (shards / "shard-3.parquet").unlink()
    finished((*command, shutil.copytree(folder / "first", folder / "second")))
    return command, folder / "first", folder / "second"


@pytest.mark.parametrize(
    ("stage", "moment", "place"),
    [
        pytest.param("sketch", "forgotten", 1, id="old-entries-gone-files-not"),
        pytest.param("sketch", "recorded", 1, id="one-of-three-units-done"),
        pytest.param("counts", "written", 1, id="old-counts-gone-new-ones-not-there"),
        pytest.param("windows", "written", 3, id="old-windows-there-new-ones-half-written"),
        pytest.param("windows", "renamed", 1, id="a-new-file-beside-old-ones"),
    ],
)
def test_a_second_scan_may_be_killed_too(tmp_path, changed, stage, moment, place):
    """After shards changed, vanished and came, a killed scan ends like an undisturbed one."""
    command, first, second = changed
    run = shutil.copytree(first, tmp_path / "run")
    killed((*command, run), stage, moment, place)
    finished((*command, run))
    assert manifest(run)["scan"] == 2
    assert_same_files(run, second)
    assert no_traces(run)


def test_ctrl_c_stops_at_once_and_says_how_to_go_on(tmp_path, corpus):
    """SIGINT within a unit ends with 130 and the command to go on with, which does."""
    run = tmp_path / "run"
    options = ("scan", corpus, "--local", "--out", run)
    with ending(begin(*options, prelude=f"{MANY_GROUPS}\n{SLOW_PAIRS}")) as process:
        assert process.stdout.readline() == "here\n"
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - begun < 10
    assert process.returncode == 130
    again = f"rote scan {corpus} --local --out {run}"
    assert err.endswith(f"\nStopped; what is finished stays. To go on from here: {again}\n")
    assert "Traceback" not in err
    assert finished(options).performed[0] == "pairs"
    finished(("scan", corpus, "--local", "--out", tmp_path / "other"))
    assert_same_files(run, tmp_path / "other")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stage", STAGES)
def test_kills_at_every_moment_of_a_stage(tmp_path, command, undisturbed, stage):
    """Each moment of each stage, alone: one kill, one run to the end, the same bytes."""
    prefix = _prefix(tmp_path / "prefix", undisturbed, stage)
    for moment, place in moments(stage, len(MOMENTS)):
        run = shutil.copytree(prefix, tmp_path / moment)
        units = sum(name.startswith(f"{stage}/") for name in manifest(undisturbed)["outputs"])
        killed((*command, run), stage, moment, min(place, units))
        finished((*command, run))
        assert_same_files(run, undisturbed)
        assert no_traces(run)


def _prefix(folder, run, stage):
    """Copy a finished run; a kill just before `stage` would have left what remains of it."""
    shutil.copytree(run, folder)
    with store.open_run(folder) as opened:
        later = STAGES[STAGES.index(stage) :]
        opened.forget(
            [name for name in opened.manifest["outputs"] if name.partition("/")[0] in later]
        )
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kills_at_random_times(tmp_path, command, undisturbed):
    """Killed after random times again and again, until a run comes through: the same bytes."""
    delays = random.Random(SEED)  # noqa: S311 - a choice of tests
    for attempt in range(5):
        run = tmp_path / str(attempt)
        code = -signal.SIGKILL
        for _ in range(60):
            delay = delays.uniform(0.05, 2.5)
            ended = rote(*command, run, before=functools.partial(kill_at, None, None), after=delay)
            code = ended.code
            if code == 0:
                break
            assert code == -signal.SIGKILL, ended.err
        assert code == 0 or finished((*command, run))
        assert files(run).keys() == files(undisturbed).keys()
        assert_same_files(run, undisturbed)
        assert no_traces(run)
