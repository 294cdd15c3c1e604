"""Policies on the command line: a dry run that tells, rows brought back, rows forgotten."""

import json

import pyarrow.parquet as pq
import pytest

from tests.e2e import corpora
from tests.e2e.command import files, manifest, rote

TEXT = "one two three four five six seven eight nine ten"
ROWS = [
    {"id": "a", "text": TEXT},
    {"id": "b", "text": TEXT},
    {"id": "c", "text": f"{TEXT} eleven"},
    {"id": "d", "text": "something else in so many words"},
]


@pytest.fixture
def run(tmp_path):
    """Return a scanned run of ROWS."""
    corpora.write(tmp_path / "corpus" / "x.jsonl", ROWS)
    assert rote("scan", tmp_path / "corpus", "--out", tmp_path / "run", "--local").code == 0
    return tmp_path / "run"


def kept(run):
    """Return the ids in kept/."""
    return pq.read_table(run / "kept/x.parquet")["id"].to_pylist()


def test_a_dry_run_tells_what_each_rule_would_take(run):
    """Rows and bytes a rule, and nothing written."""
    before = files(run)
    asked = ("--set", 'policy.rules=["keep-n"]', "--set", "policy.keep=2")
    ended = rote("filter", run, "--dry-run", *asked)
    assert ended.code == 0, ended.err
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["keep-n", "1", str(len(TEXT))] in lines
    assert "not scored" in ended.out
    assert files(run) == before
    assert rote("filter", run, "--local", *asked).code == 0
    assert kept(run) == ["a", "c", "d"]


def test_a_dry_run_of_forgetting_tells_the_plan_with_it(run):
    """What is due and what each rule takes are told as if it were forgotten; nothing is noted."""
    assert rote("filter", run, "--local").code == 0
    before = files(run)
    ended = rote("filter", run, "--dry-run", "--forget", "row:x.jsonl#1")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("would forget 2 texts in 3 rows: 1 named and 1 near copies")
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["decisions", "1", "of", "1", "units", "to", "do"] in lines
    assert ["forget", "3"] in [line[:2] for line in lines]
    assert files(run) == before


def test_rows_come_back_and_go_for_good(run):
    """`restore` keeps a row from the next filter on; `--forget` takes it and its copies."""
    assert rote("filter", run, "--local").code == 0
    assert kept(run) == ["c", "d"]
    assert "1 rows will stay" in rote("restore", run, "b").out
    assert "1 restored" in rote("filter", run, "--local").out
    assert kept(run) == ["b", "c", "d"]
    ended = rote("filter", run, "--local", "--forget", "b")
    assert ended.code == 0, ended.err
    assert "3 forgotten" in ended.out
    assert "forgetting 2 texts in 3 rows: 1 named and 1 near copies" in ended.out
    assert "  named  b (x.jsonl#1)\n" in ended.out
    refused = rote("restore", run, "b")
    assert (refused.code, "cannot be restored" in refused.err) == (2, True)
    assert "your own files" in ended.out
    assert kept(run) == ["d"]
    assert TEXT not in json.dumps(pq.read_table(run / "removed/x.parquet").to_pylist(), default=str)
    assert rote("filter", run, "--local").code == 0
    assert kept(run) == ["d"]
    assert len(manifest(run)["forgotten"]) == 2


def test_an_unknown_id_is_usage(run):
    """Neither command takes a name that is no document's; what there was stays."""
    for command in (("restore", run, "z"), ("filter", run, "--local", "--forget", "z")):
        ended = rote(*command)
        assert ended.code == 2
        assert "'z'" in ended.err
    assert not (run / "kept").exists()


def test_a_corpus_without_documents_has_a_policy_too(tmp_path):
    """Every rule and column over no rows at all."""
    corpora.write(tmp_path / "corpus" / "x.jsonl", [{"id": "a", "text": ""}])
    asked = ('policy.rules=["drop-copies","keep-n","cut-spans"]', "mitigation.sink_id=true",
             "mitigation.weights=exact", "input.most_rejected=1")  # fmt: skip
    sets = [part for setting in asked for part in ("--set", setting)]
    out = tmp_path / "run"
    assert rote("scan", tmp_path / "corpus", "--out", out, "--local", *sets).code == 0
    ended = rote("filter", out, "--local")
    assert ended.code == 0, ended.err
    assert kept(out) == []
