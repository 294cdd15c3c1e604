"""The report and explanations on the command line: comparison, pages, settings."""

import json
import shutil

import pytest

from tests.e2e import corpora
from tests.e2e.command import manifest, rote

OK, FAILED, USAGE = 0, 1, 2
TEXT = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a scanned, filtered and reported run: a copy, a near copy, a rejected row."""
    folder = tmp_path_factory.mktemp("report")
    rows = [
        {"id": "a", "text": TEXT},
        {"id": "b", "text": TEXT},
        {"id": "c", "text": f"{TEXT} eleven mail@example.org"},
        {"id": "none", "text": None},
    ]
    corpora.write(folder / "corpus" / "good.jsonl", rows)
    out = folder / "run"
    assert (
        rote("scan", folder / "corpus", "--out", out, "--local", "--set=window.words=5").code == OK
    )
    assert rote("filter", out, "--local").code == OK
    assert rote("report", out, "--local").code == OK
    return out


def _data(run):
    return json.loads((run / "report" / "report.json").read_text())


def test_three_files_are_written_and_not_again(run):
    """Page, JSON and summary are outputs: a second report has nothing to do."""
    again = rote("report", run, "--local")
    assert again.performed == []
    names = sorted(path.name for path in (run / "report").iterdir())
    assert names == ["index.html", "report.json", "summary.md"]
    assert _data(run)["changes"] is None


def test_a_comparison_is_made_when_asked_for(run, tmp_path):
    """With --against the report is due, tells the change, and is plain again without it."""
    other = tmp_path / "other"
    shutil.copytree(run, other)
    assert rote("filter", other, "--local", "--set=near.threshold=0.6").code == OK
    compared = rote("report", run, "--local", "--against", other)
    assert compared.performed == ["report"]
    changes = _data(run)["changes"]
    assert changes["name"] == "other"
    assert changes["settings"] == [{"setting": "near.threshold", "before": 0.6, "now": 0.8}]
    assert {"before": "near_copy", "now": "kept", "documents": 1, "text_bytes": 48} in changes[
        "fates"
    ]
    assert rote("report", run, "--local", "--against", other).performed == []
    assert rote("report", run, "--local").performed == ["report"]
    assert _data(run)["changes"] is None
    ended = rote("report", run, "--local", "--against", tmp_path / "nothing")
    assert (ended.code, "nothing" in ended.err) == (FAILED, True)
    assert rote("report", run, "--local").performed == []


def test_excerpts_are_a_setting_of_the_report_alone(run):
    """Switching excerpts off makes the report due and no other stage."""
    ended = rote("report", run, "--local", "--set=report.excerpts=false")
    assert ended.performed == ["report"]
    assert "seven" not in json.dumps({**_data(run), "config": None})
    assert manifest(run)["config"]["report"]["excerpts"] is False
    assert rote("report", run, "--local", "--set=report.excerpts=true").performed == ["report"]


def test_an_explanation_is_a_page_too(run, tmp_path):
    """The words go to standard output, the page to the file; one that cannot be written is said."""
    page = tmp_path / "why.html"
    ended = rote("explain", run, "b", "--html", page)
    assert (ended.code, ended.err) == (OK, "")
    assert "REMOVED as an exact copy (rule drop-copies)" in ended.out
    assert '<h2 id="row-0">REMOVED as an exact copy' in page.read_text()
    missing = rote("explain", run, "b", "--html", tmp_path / "no" / "why.html")
    assert (missing.code, "The file cannot be written." in missing.err) == (USAGE, True)


def test_an_explanation_is_written_over_no_other_file(run, tmp_path):
    """A file of the corpus, or the report, that was named by mistake is as it was."""
    page = tmp_path / "why.html"
    other = tmp_path / "good.jsonl"
    other.write_text('{"text": "a row"}\n')
    assert rote("explain", run, "b", "--html", page).code == OK
    first = page.read_text()
    assert rote("explain", run, "a", "--html", page).code == OK
    assert page.read_text() != first
    for taken in (other, run / "report" / "index.html", tmp_path):
        before = None if taken.is_dir() else taken.read_bytes()
        ended = rote("explain", run, "b", "--html", taken)
        assert (ended.code, "no explanation of rote" in ended.err) == (USAGE, True)
        assert before is None or taken.read_bytes() == before


def test_a_rejected_row_is_explained_by_its_id(run):
    """Its column of ids was guessed, as for the rows that are documents."""
    for name in ("none", "good.jsonl#3"):
        ended = rote("explain", run, name)
        assert ended.code == OK
        assert "REJECTED: the text is null (null_text)" in ended.out
