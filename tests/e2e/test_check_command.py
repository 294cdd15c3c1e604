"""`rote check`: every difference by name, nothing written, and mended on request."""

import json
import os
import shutil

import pytest

from pipeline.engine.manifest import manifest_bytes
from tests.e2e import corpora
from tests.e2e.command import assert_same_files, files, manifest, rote


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a run that was scanned, filtered and reported on."""
    folder = tmp_path_factory.mktemp("finished")
    corpora.small(folder / "corpus")
    for command in (("scan", folder / "corpus", "--out"), ("filter",), ("report",)):
        assert rote(*command, folder / "run", "--local").code == 0
    return folder / "run"


@pytest.fixture
def run(tmp_path, finished):
    """Return a copy of it to be damaged."""
    return shutil.copytree(finished, tmp_path / "run")


def bit(path):
    """Flip a bit of a file; its size stays."""
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def older(path):
    """Put another file of the same kind in place, padded to the same size."""
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:40].ljust(size, b"\0"))


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "changed-bit": bit,
    "changed-other": older,
    "changed-empty": lambda path: path.write_bytes(b""),
    "changed-longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
}
PLACES = (
    "words/g00000.parquet",
    "kept/shard-1.parquet",
    "lists/kept.json",
    "report/index.html",
)


def test_a_whole_run_is_said_to_be_whole(run):
    """Nothing differs: exit 0, and no file was touched."""
    before = files(run)
    ended = rote("check", run)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("whole: all ")
    assert files(run) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damaged_file_is_named_and_nothing_is_written(run, damage):
    """Whatever happened to a file, one line names it and the command that makes it anew."""
    for place in PLACES:
        DAMAGES[damage](run / place)
    before = files(run)
    ended = rote("check", run)
    assert ended.code == 1
    lines = ended.out.splitlines()
    kind = damage.partition("-")[0]
    for place, act in zip(PLACES, ("scan", "filter", "filter", "report"), strict=True):
        assert [line for line in lines if line.startswith(f"{kind:<10} {place}  ")], ended.out
        assert [line for line in lines if place in line and f"(rote {act}" in line]
    assert lines[-2:] == [
        f"4 differences; {sum(map(len, recorded(run)))} files are recorded",
        f"make anew what is damaged: rote check {run} --repair",
    ]
    assert files(run) == before


def recorded(run):
    """Return the files of each output."""
    return [entry["files"] for entry in manifest(run)["outputs"].values()]


def test_repair_makes_the_same_bytes(run, finished):
    """Damage in every act is mended from the same inputs; then nothing differs."""
    for place, damage in zip(
        PLACES, ("missing", "changed-bit", "changed-empty", "missing"), strict=True
    ):
        DAMAGES[damage](run / place)
    ended = rote("check", run, "--repair")
    assert ended.code == 0, ended
    assert "after the repair:\nwhole: all " in ended.out
    assert_same_files(run, finished)


def test_what_is_not_of_rote_is_named_and_stays(run):
    """Files of a user are named, within our folders and beside them, and no repair takes them."""
    own = ["kept/mine.parquet", "report/deep/notes.html", "notes\x1b[31m.txt"]
    for name in own:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    (run / "pairs/all.parquet.7.rote-tmp").write_text("half")
    ended = rote("check", run, "--repair")
    assert ended.code == 1
    first, _, after = ended.out.partition("after the repair:\n")
    assert "unfinished pairs/all.parquet.7.rote-tmp" in first
    assert "\x1b" not in ended.out
    assert [line.split()[:2] for line in after.splitlines()[:-1]] == [
        ["foreign", "kept/mine.parquet"],
        ["foreign", "report/deep/notes.html"],
        ["foreign", "notes\\x1b[31m.txt"],
    ]
    assert [(run / name).read_text() for name in own] == ["mine"] * 3


def test_a_mark_that_is_not_true_is_named(run):
    """_SUCCESS without a finished filter, and a list that names other files than were written."""
    own = manifest(run)
    del own["outputs"]["seal/all"]
    (run / "manifest.json").write_bytes(manifest_bytes(own))
    ended = rote("check", run)
    assert (ended.code, "untrue     kept/_SUCCESS  " in ended.out) == (1, True)


def test_a_damaged_manifest_is_one_message(run):
    """Nothing can be held against it: it says what to do."""
    bit(run / "manifest.json")
    for options in ([], ["--repair"]):
        ended = rote("check", run, *options)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith("rote: The manifest of this run folder is damaged.\n")
        assert "to do: rebuild it" in ended.err


def test_a_repair_from_other_inputs_is_refused(run):
    """Where the corpus changed, what is damaged cannot be made as it was."""
    shard = json.loads((run / "manifest.json").read_bytes())["corpus"]["shards"][0]["path"]
    before = os.stat(shard)  # noqa: PTH116
    with open(shard, "a", encoding="utf-8") as stream:  # noqa: PTH123 - appended, put back below
        size = stream.tell()
        stream.write('{"text": "another"}\n')
    try:
        bit(run / "pairs/all.parquet")
        ended = rote("check", run, "--repair")
        assert ended.code == 1
        assert "The corpus changed after it was scanned." in ended.err
    finally:
        with open(shard, "a", encoding="utf-8") as stream:  # noqa: PTH123
            stream.truncate(size)
        os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))  # other tests read it
