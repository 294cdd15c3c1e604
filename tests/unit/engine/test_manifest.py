import json
import os
import random

import pytest

from pipeline import run as stages
from pipeline.absent import MANIFEST
from pipeline.engine.manifest import load_manifest, manifest_bytes
from pipeline.engine.run_folder import RunFolder
from pipeline.errors import RunFolderError
from pipeline.sealed import sealed
from schemas.manifest import SCHEMA_VERSION

SEED = 4
RECORD = {"table": "pairs", "path": "pairs/all.parquet", "rows": 3, "bytes": 900, "digest": "ab"}
ENTRY = {
    "fingerprint": "0" * 32,
    "digest": "f" * 32,
    "rows_in": 3,
    "rows_out": 3,
    "facts": {"rate": 0.25, "words": 10_000_000_000},
    "files": [RECORD],
}


def a_manifest():
    """Return a small manifest with an output."""
    return {**stages.new_manifest(), "scan": 1, "outputs": {"pairs/all": ENTRY}}


def put(folder, data):
    """Write a manifest as these bytes."""
    (folder / MANIFEST).write_bytes(data)
    return folder


def test_what_is_written_is_read(tmp_path):
    """The digest is in the file alone; the rest comes back, sorted by output."""
    more = {**a_manifest(), "outputs": {"pairs/all": ENTRY, "a/all": {**ENTRY, "files": []}}}
    found = load_manifest(put(tmp_path, manifest_bytes(more)))
    assert found == more
    assert list(found["outputs"]) == ["a/all", "pairs/all"]
    assert json.loads((tmp_path / MANIFEST).read_bytes())["rote"] == found["rote"]
    assert manifest_bytes({**more, "digest": "of before"}) == manifest_bytes(more)


def test_no_flipped_bit_is_accepted(tmp_path):
    """Whatever bit of a manifest is flipped, it is refused in the same words, with what to do."""
    data = manifest_bytes(a_manifest())
    places = random.Random(SEED).sample(range(8 * len(data)), 400)  # noqa: S311 - a choice of tests
    for place in (*range(8 * 50), *places):
        bad = bytearray(data)
        bad[place // 8] ^= 1 << place % 8
        with pytest.raises(RunFolderError, match="damaged") as refused:
            load_manifest(put(tmp_path, bytes(bad)))
        assert refused.value.where == str(tmp_path / MANIFEST)
        assert "rote run" in refused.value.fix


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_manifest_cut_short_is_refused(tmp_path, share):
    """An empty one, a part, and one without its last byte."""
    data = manifest_bytes(a_manifest())
    with pytest.raises(RunFolderError, match="damaged"):
        load_manifest(put(tmp_path, data[: int(share * len(data))]))


FORMS = {
    "version-alone": {"rote": SCHEMA_VERSION, "outputs": {}},
    "no-outputs": {**a_manifest(), "outputs": []},
    "entry": {**a_manifest(), "outputs": {"pairs/all": []}},
    "record": {**a_manifest(), "outputs": {"pairs/all": {**ENTRY, "files": [{"path": "x"}]}}},
    "made-from": {
        **a_manifest(),
        "outputs": {"pairs/all": {**ENTRY, "made_from": {"besides": "", "read": {"sketch/g": 1}}}},
    },
    "number": {**a_manifest(), "scan": "1"},
    "shard": {**a_manifest(), "corpus": {"roots": [], "skipped": {}, "shards": [{"name": "x"}]}},
    "config": {**a_manifest(), "config": None},
}


@pytest.mark.parametrize("name", FORMS)
def test_another_form_is_refused_also_with_a_right_digest(tmp_path, name):
    """A manifest whose digest is right but whose parts are not ours is no traceback."""
    with pytest.raises(RunFolderError, match="damaged"):
        load_manifest(put(tmp_path, sealed(FORMS[name])))


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
def test_another_version_is_told_from_damage(tmp_path, version):
    """With a digest or without, an older or newer folder is refused as such."""
    other = {**a_manifest(), "rote": version}
    for data in (sealed(other), json.dumps(other).encode()):
        with pytest.raises(RunFolderError, match="another version"):
            load_manifest(put(tmp_path, data))


def test_a_manifest_without_a_digest_is_damaged(tmp_path):
    """One of this version that an editor wrote anew is not trusted."""
    with pytest.raises(RunFolderError, match="damaged"):
        load_manifest(put(tmp_path, json.dumps(a_manifest()).encode()))


@pytest.mark.parametrize("name", ["manifest.json", ".changes", "events/stages.jsonl"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_in_place_of_a_file_is_refused(tmp_path, name, make):
    """To read one would never end: it is refused by name, before anything is done."""
    (tmp_path / "events").mkdir()
    make(tmp_path / name)
    folder = RunFolder(tmp_path, a_manifest())
    acts = {
        "manifest.json": lambda: load_manifest(tmp_path),
        ".changes": folder.settle,
        "events/stages.jsonl": lambda: folder.log.add("end"),
    }
    with pytest.raises(RunFolderError, match="is no file") as refused:
        acts[name]()
    assert refused.value.where == str(tmp_path / name)
