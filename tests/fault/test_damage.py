"""Damaged run folders and full disks: found, named, mended, and nothing lost."""

import functools
import os
import resource
import shutil

import pytest

from pipeline.engine.manifest import manifest_bytes
from tests.e2e import corpora
from tests.e2e.command import assert_same_files, files, manifest, rote

COMMANDS = ("scan", "filter", "report")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Return a small corpus."""
    return corpora.small(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, corpus):
    """Return a run that was scanned, filtered and reported on."""
    run = tmp_path_factory.mktemp("finished") / "run"
    for command in COMMANDS:
        assert work(command, corpus, run).code == 0
    return run


@pytest.fixture
def run(tmp_path, finished):
    """Return a copy of the finished run to be damaged."""
    return shutil.copytree(finished, tmp_path / "run")


def work(command, corpus, run, *options, before=None):
    """Run one command on a run folder, or on the corpus for it."""
    place = (corpus, "--out", run) if command == "scan" else (run,)
    return rote(command, *place, "--local", *options, before=before)


def flip(path, share=0.4):
    """Change one bit of a file, so far into it; its size and the rest stay."""
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 0x10
    path.write_bytes(data)


def outputs(run):
    """Return the output that each file of a run folder belongs to."""
    found = manifest(run)["outputs"].items()
    return {record["path"]: output for output, entry in found for record in entry["files"]}


@pytest.mark.parametrize(
    "path",
    [
        "signatures/g00000.parquet",
        "windows/all.parquet",
        "kept/shard-1.parquet",
        "report/index.html",
    ],
)
def test_verify_redoes_exactly_what_is_damaged(run, corpus, finished, path):
    """--verify finds a flipped bit, which a quick look does not, and makes that output anew."""
    flip(run / path)
    command = next(c for c in COMMANDS if outputs(run)[path].startswith(OWNERS[c]))
    assert work(command, corpus, run).performed == []
    ended = work(command, corpus, run, "--verify")
    assert (ended.code, ended.performed) == (0, anew(run, path))
    assert_same_files(run, finished)


def anew(run, path):
    """Return the stages that make a file again; kept/ and removed/ are then sealed again."""
    stage = outputs(run)[path].partition("/")[0]
    return ["emit", "seal"] if stage == "emit" else [stage]


OWNERS = {
    "scan": (
        "sketch",
        "copies",
        "candidates",
        "pairs",
        "windows",
        "contained",
        "families",
        "counts",
    ),
    "filter": ("documents", "decisions", "columns", "emit", "seal"),
    "report": ("report",),
}


@pytest.mark.parametrize(
    "path", ["words/g00000.parquet", "pairs/all.parquet", "removed/shard-2.parquet"]
)
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_short_or_missing_file_is_made_anew(run, corpus, finished, path, harm):
    """A file of another size than recorded, or none, is seen by the next run without any option."""
    if harm == "gone":
        (run / path).unlink()
    else:
        (run / path).write_bytes((run / path).read_bytes()[:-7])
    performed = [stage for c in COMMANDS[:2] for stage in work(c, corpus, run).performed]
    assert performed == anew(finished, path)
    assert_same_files(run, finished)


OTHER_PAIRS = "near.threshold=1.0 near.count_threshold=0.99"


@pytest.mark.parametrize(
    ("path", "command", "setting"),
    [
        ("pairs/all.parquet", "filter", "near.threshold=0.9"),
        ("counts/all.parquet", "filter", "near.threshold=0.9"),
        ("documents/all.parquet", "filter", "emit.column=other"),
        ("decisions/all.parquet", "filter", "emit.column=other"),
        ("words/g00000.parquet", "scan", "window.words=40"),
        ("signatures/g00000.parquet", "scan", "near.bucket_cap=64"),
        ("copies/all.parquet", "scan", "near.bucket_cap=64"),
        ("candidates/all.parquet", "scan", "near.count_threshold=0.6"),
        ("words/g00000.parquet", "scan", "near.count_threshold=0.6"),
        ("links/all.parquet", "scan", OTHER_PAIRS),
        ("repeats/all.parquet", "scan", OTHER_PAIRS),
        ("buckets/all.parquet", "scan", "near.count_threshold=0.6"),
    ],
)
def test_a_damaged_page_that_is_read_is_named(run, corpus, path, command, setting):
    """Changed bits where a stage reads are an error with file and remedy, never a result."""
    for tenth in range(1, 10):
        flip(run / path, tenth / 10)
    ended = work(command, corpus, run, *(f"--set={one}" for one in setting.split()))
    assert ended.code == 1
    assert ended.err.count("rote: ") == 1
    assert str(run / path) in ended.err
    assert "--verify" in ended.err
    assert "Traceback" not in ended.err


def test_an_entry_of_another_making_is_redone(run, corpus, finished):
    """An output whose fingerprint is not that of its inputs counts as not there."""
    stale = manifest(run)
    stale["outputs"]["pairs/all"]["fingerprint"] = "0" * 32
    stale["outputs"]["sketch/g00007"] = {**stale["outputs"]["sketch/g00000"], "files": []}
    (run / "manifest.json").write_bytes(manifest_bytes(stale))
    (run / "pairs" / "mine.parquet").write_bytes(b"of a user")
    scanned = work("scan", corpus, run)
    assert scanned.performed == ["pairs"]
    assert "not of rote, left alone: pairs/mine.parquet\n" in scanned.err
    (run / "pairs" / "mine.parquet").unlink()
    assert work("filter", corpus, run).performed == []
    assert work("report", corpus, run).performed == []
    assert_same_files(run, finished)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"rote": 1, "scan"', "The manifest of this run folder is damaged."),
        ("", "The manifest of this run folder is damaged."),
        ("[]", "This run folder is of another version, or not of rote."),
        ('{"rote": 99}', "This run folder is of another version, or not of rote."),
    ],
)
def test_a_damaged_manifest_is_refused_by_all_commands(run, corpus, text, what):
    """Nothing is guessed from a folder without its state, and nothing in it is touched."""
    (run / "manifest.json").write_text(text)
    before = files(run)
    for command in COMMANDS:
        ended = work(command, corpus, run)
        assert ended.code == 1
        assert ended.err.startswith(f"rote: {what}\n  where: {run}/manifest.json\n  found: ")
        assert "\n  to do: rebuild it: rote run CORPUS... --out NEW_FOLDER\n" in ended.err
    assert files(run) == before


def small_files(limit):
    """Let no file of this process grow above `limit` bytes, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def full_after(syncs):
    """Let the disk be full at the syncs-th time that something is written to it for good."""
    left = [syncs]
    sync = os.fsync

    def full(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        sync(handle)

    pytest.MonkeyPatch().setattr(os, "fsync", full)  # never set back: this process is a child


@pytest.mark.parametrize(
    "cause",
    [
        pytest.param(functools.partial(small_files, 40_000), id="words-too-large"),
        pytest.param(functools.partial(full_after, 0), id="full-at-first"),
        pytest.param(functools.partial(full_after, 21), id="full-later"),
    ],
)
def test_a_full_disk_is_one_message_and_loses_nothing(tmp_path, corpus, finished, cause):
    """The command ends with 1 and says so; when there is room again the same command goes on."""
    run = tmp_path / "run"
    ended = work("scan", corpus, run, before=cause)
    assert ended.code == 1, ended.err
    assert ended.err.count("rote: ") == 1
    assert "rote: The disk is full" in ended.err
    assert "\n  to do: " in ended.err
    assert "Traceback" not in ended.err
    for command in COMMANDS:
        assert work(command, corpus, run).code == 0
    assert_same_files(run, finished)
    assert not list(run.rglob("*.rote-tmp"))


def test_a_full_disk_in_the_filter_leaves_the_scan_whole(run, corpus, finished):
    """What was finished before stays current: only the filter's own stages run again."""
    ended = work(
        "filter", corpus, run, "--set=emit.column=x", before=functools.partial(full_after, 5)
    )
    assert ended.code == 1
    assert "rote: The disk is full" in ended.err
    assert work("scan", corpus, run).performed == []
    assert work("filter", corpus, run, "--set=emit.column=rote").performed == []  # kept/ stayed
    assert work("report", corpus, run).code == 0
    assert_same_files(run, finished)


@pytest.mark.parametrize(
    "path", ["families/all.parquet", "pairs/all.parquet", "counts/all.parquet"]
)
def test_a_file_that_is_gone_changes_no_answer(run, path):
    """What an answer does not rest on may be gone; what it does rest on is named."""
    asked = (("query", run, "--text", "some words " * 60), ("explain", run, "shard-0.jsonl#1"))
    before = [rote(*words) for words in asked]
    assert [one.code for one in before] == [0, 0]
    (run / path).unlink()
    for words, sound in zip(asked, before, strict=True):
        ended = rote(*words)
        if ended.code == 0:
            assert ended.out == sound.out
        else:
            assert f"  where: {run / path}\n" in ended.err
