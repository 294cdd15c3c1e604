"""What a command must not take away: files of users, the last finished version, the settings."""

import shutil

import pyarrow.parquet as pq
import pytest

from pipeline.engine.manifest import manifest_bytes
from tests.e2e import corpora
from tests.e2e.command import files, manifest, rote

TEXTS = [corpora.Prose(number).text(100) for number in range(10)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a folder with a corpus of ten texts and their near copies, and a run over it."""
    folder = tmp_path_factory.mktemp("finished")
    rows = [*({"text": text} for text in TEXTS), *({"text": f"{text} more"} for text in TEXTS)]
    corpora.write(folder / "corpus" / "a.jsonl", rows)
    for command in (("scan", folder / "corpus", "--out"), ("filter",), ("report",)):
        assert rote(*command, folder / "run", "--local").code == 0
    return folder


@pytest.fixture
def run(tmp_path, finished):
    """Return a copy of the run folder."""
    return shutil.copytree(finished / "run", tmp_path / "run")


def told(ended):
    """Return the rows that the closing words tell as kept; None when they do not tell."""
    lines = [line.split() for line in ended.out.splitlines() if line.startswith("  kept ")]
    return int(lines[0][1].replace(",", "")) if lines else None


def kept(run):
    """Return the rows that lie in kept/."""
    return sum(pq.read_metadata(path).num_rows for path in (run / "kept").rglob("*.parquet"))


def refused(ended, *words):
    """Require one message, with these words, and an exit code of a refusal."""
    assert ended.code in {1, 2}, ended
    assert ended.err.count("rote: ") == 1, ended.err
    assert "Traceback" not in ended.err
    assert [word for word in words if word not in ended.err] == []


def test_files_of_a_user_stay_and_are_named_once(run):
    """Whatever their names, files beside ours outlive every command, which names them once."""
    own = ["kept/split.parquet", "report/notes.html", "models/mine/model.safetensors"]
    for name in own:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("mine")
    line = f"not of rote, left alone: {', '.join(sorted(own))}\n"
    for command in ("filter", "report"):
        ended = rote(command, run, "--local", "--set=near.threshold=0.99")
        assert (ended.code, ended.err.count(line)) == (0, 1), ended.err
    assert rote("restore", run, "nobody").code == 2
    assert [(run / name).read_text() for name in own] == ["mine"] * 3


def test_a_file_of_a_user_in_the_way_is_named(tmp_path, finished):
    """A file that has the name of one to be made is not written over, and can be moved away."""
    run = tmp_path / "run"
    assert rote("scan", finished / "corpus", "--out", run, "--local").code == 0
    (run / "kept").mkdir()
    (run / "kept" / "a.parquet").write_text("mine")
    refused(rote("filter", run, "--local"), "did not write is in the way", "kept/a.parquet")
    assert (run / "kept" / "a.parquet").read_text() == "mine"
    (run / "kept" / "a.parquet").unlink()
    assert rote("filter", run, "--local").code == 0
    assert kept(run) == 10


@pytest.mark.parametrize("other", ["unfiltered", "none", "missing"])
def test_a_report_against_nothing_leaves_the_report(tmp_path, finished, run, other):
    """A run to compare with that cannot be compared with changes no file and no setting."""
    if other == "unfiltered":
        asked = ("scan", finished / "corpus", "--out", tmp_path / other, "--local")
        assert rote(*asked).code == 0
    if other == "none":
        (tmp_path / other).mkdir()
    before = files(run)
    refused(rote("report", run, "--local", "--against", tmp_path / other), str(tmp_path / other))
    assert files(run) == before


def test_after_another_filter_the_old_report_is_said_to_be_old(run):
    """The report still tells of rows that an earlier filter removed; the terminal says so."""
    ended = rote("filter", run, "--local", "--set=near.threshold=1.0")
    assert ended.code == 0
    assert kept(run) == told(ended) == 20
    said = f"report/ is of an earlier scan, filter or setting: rote report {run}\n"
    assert said in ended.out
    assert said not in rote("report", run, "--local").out


def test_a_report_tells_only_what_lies_there(tmp_path, finished):
    """After a filter that could not write kept/, report is refused and score tells no rows."""
    run = tmp_path / "run"
    assert rote("scan", finished / "corpus", "--out", run, "--local").code == 0
    (run / "kept").write_text("in the way")
    refused(rote("filter", run, "--local"), "in the way", f"{run}/kept")
    assert (run / "kept").read_text() == "in the way"
    (run / "kept").unlink()
    assert "decisions/all" in manifest(run)["outputs"]
    refused(rote("report", run, "--local"), "There is nothing to report on yet.", "rote filter")
    assert told(rote("scan", finished / "corpus", "--out", run, "--local")) is None
    again = rote("filter", run, "--local")
    assert told(again) == kept(run) == 10


MODEL = "/nowhere/model"
REFUSED = {
    "column": ("filter", ["emit.column=TEXT"], "a column of the name that rote adds"),
    "no-tokenizer": (
        "filter",
        ["mitigation.goldfish_k=4", "mitigation.tokenizer=/nowhere/tokenizer.json"],
        "The tokenizer is not there.",
    ),
    "bad-tokenizer": (
        "filter",
        ["mitigation.goldfish_k=4", "mitigation.tokenizer=BAD"],
        "The tokenizer cannot be read.",
    ),
    "no-model": ("score", [f'proxy.models=["{MODEL}"]'], "neither a folder here nor"),
    "no-gpu": ("score", ["proxy.device=cuda"], "There is no GPU that Torch can use."),
    "no-language": ("score", ["proxy.tokenizer=BAD"], "proxy.tokenizer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_setting_that_a_stage_would_refuse_changes_nothing(tmp_path, run, monkeypatch, name):
    """It is refused before any output goes and before it is saved as the folder's own."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "bad" / "tokenizer.json").parent.mkdir()
    (tmp_path / "bad" / "tokenizer.json").write_text("{}")
    command, settings, said = REFUSED[name]
    options = [f"--set={one.replace('BAD', str(tmp_path / 'bad'))}" for one in settings]
    before = files(run)
    refused(rote(command, run, "--local", *options), said)
    assert files(run) == before


def test_a_setting_that_a_stage_refuses_late_does_not_stay(tmp_path):
    """Where only a later row shows that a column clashes, the next filter has the old settings."""
    rows = [{"text": text} for text in TEXTS] * 20 + [{"text": "with one more", "late": 1}]
    corpora.write(tmp_path / "c" / "a.jsonl", rows)
    run = tmp_path / "run"
    assert rote("scan", tmp_path / "c", "--out", run, "--local").code == 0
    assert rote("filter", run, "--local").code == 0
    before = files(run)
    ended = rote("filter", run, "--local", "--set=emit.column=late")
    refused(ended, "a column of the name that rote adds")
    assert files(run) == before
    assert rote("filter", run, "--local").performed == []


def test_a_manifest_of_others_deletes_nothing_outside(tmp_path, run):
    """A record that names another place is refused by every command that reads a run."""
    (tmp_path / "precious.txt").write_text("precious")
    own = manifest(run)
    record = {"table": "seal", "path": "../precious.txt", "rows": 0, "bytes": 8, "digest": "0"}
    for entry in own["outputs"].values():
        entry["files"].append(record)
    (run / "manifest.json").write_bytes(manifest_bytes(own))
    before = files(tmp_path)
    for command in (
        ("filter", run, "--local", "--set=near.threshold=0.9"),
        ("report", run, "--local"),
        ("explain", run, "a.jsonl#0"),
        ("query", run, "--text", "x"),
        ("restore", run, "a.jsonl#0"),
    ):
        refused(rote(*command), "names a file outside of it", "../precious.txt")
    assert files(tmp_path) == before
