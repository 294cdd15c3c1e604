"""`rote canaries` and `rote canaries check` on the command line: what they print, write, refuse."""

import json
import stat

import pytest

from tests.e2e.command import rote
from tests.e2e.corpora import Prose


@pytest.fixture(scope="module")
def scanned(tmp_path_factory, make_corpus, scan):
    """Return a scanned run folder."""
    folder, prose = tmp_path_factory.mktemp("canaries"), Prose(31)
    rows = [{"id": f"t{n}", "text": prose.text(120)} for n in range(150)]
    corpus = make_corpus(folder / "c", {"a.jsonl": rows})
    return scan(corpus, folder / "run", filtered=False).folder


@pytest.fixture(scope="module")
def made(scanned, tmp_path_factory):
    """Return what the command that makes canaries said, and their folder."""
    out = tmp_path_factory.mktemp("made") / "canaries"
    options = ("--doses", "1,3", "--count", "2", "--references", "9", "--jsonl")
    return rote("canaries", scanned, "--out", out, *options), out


def test_it_writes_a_file_and_a_key_and_says_what_to_do(made, scanned):
    """Two files, the key for its owner alone; the run folder is as it was."""
    ended, out = made
    assert ended.code == 0
    assert ended.out.startswith("8 pairs of random and natural canaries, a fair coin")
    assert "canaries.jsonl: 16 rows with the columns id and text" in ended.out
    assert "forecast  none: the run was never scored" in ended.out
    assert {"canaries.jsonl", "key.json"} <= {path.name for path in out.iterdir()}
    assert stat.S_IMODE((out / "key.json").stat().st_mode) == 0o600
    assert len((out / "canaries.jsonl").read_text().splitlines()) == 16
    assert rote("check", scanned).code == 0


def test_prompts_go_out_and_answers_come_in(made, tmp_path):
    """The figures are printed, and are in result.json; with --json nothing else is printed."""
    _, out = made
    prompts, answers = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    ended = rote("canaries", "check", out, "--prompts", prompts, "--suffixes")
    assert (ended.code, ended.out) == (0, f"25 prompts: {prompts}\n")
    inside = (out / "canaries.jsonl").read_text()
    lines = [
        {
            "id": one["id"],
            "completion": one["suffix"],
            "log_p": -1 if one["prefix"] in inside else -9,
        }
        for one in map(json.loads, prompts.read_text().splitlines())
    ]
    answers.write_text("\n".join(map(json.dumps, lines[:-1])))
    told = rote("canaries", "check", out, "--answers", answers)
    assert told.code == 0
    assert told.out.startswith("The model was trained on the canaries: it recites")
    assert "The forecast, sealed" not in told.out
    as_json = rote("canaries", "check", out, "--answers", answers, "--json")
    found = json.loads(as_json.out)
    assert found == json.loads((out / "result.json").read_text())
    assert found["recognition"][0]["auc"] == 1.0
    assert found["answers"]["log_p"] == 24


def test_what_is_not_valid_is_one_message(made, scanned, tmp_path):
    """Two ways to have answers, none, a folder that is there, a dose that is none."""
    _, out = made
    for arguments, said in (
        (("check", out), "Name one of --model"),
        (("check", out, "--model", "m", "--endpoint", "http://h/v1"), "Name one of --model"),
        (("check", tmp_path, "--model", "m"), "no key of canaries"),
        (("check", out, "--endpoint", "ftp://h"), "address of an endpoint"),
        ((scanned, "--out", tmp_path / "new", "--doses", "x"), "--doses"),
        ((tmp_path, "--out", tmp_path / "new"), "run folder"),
    ):
        ended = rote("canaries", *arguments)
        assert ended.code in (1, 2)
        assert said in ended.err
        assert "Traceback" not in ended.err
    ended = rote("canaries", scanned, "--out", out)
    assert (ended.code, "there already" in ended.err) == (1, True)
    assert list(tmp_path.iterdir()) == []
