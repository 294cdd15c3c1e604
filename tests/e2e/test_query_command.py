"""How often a text occurs, asked on the command line."""

import json
import subprocess
import sys

import pytest

from pipeline.engine.manifest import manifest_bytes
from tests.e2e import corpora
from tests.e2e.command import begin, environment, fresh, manifest, rote

OK, FAILED, USAGE = 0, 1, 2
TEXT = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a scanned and filtered run of three documents."""
    folder = tmp_path_factory.mktemp("query")
    rows = [
        {"id": "a", "text": TEXT},
        {"id": "b", "text": TEXT},
        {"id": "c", "text": f"{TEXT} eleven"},
    ]
    corpora.write(folder / "corpus" / "good.jsonl", rows)
    out = folder / "run"
    settings = ("--local", "--set=window.words=5")
    assert rote("scan", folder / "corpus", "--out", out, *settings).code == OK
    assert rote("filter", out, "--local").code == OK
    return out


def assert_refused(ended, code, *said):
    """Require an exit code, nothing on standard output and one message that says all of this."""
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert ended.err.startswith("rote: ")
    assert "Traceback" not in ended.err
    assert [text for text in (*said, "\n  where: ", "\n  to do: ") if text not in ended.err] == []


def test_a_text_is_answered_in_words_and_as_json(run, tmp_path):
    """Text, file and standard input give the same answer; times are on standard error only."""
    said = rote("query", run, "--text", TEXT)
    assert (said.code, said.err) == (OK, "")
    assert "This exact text is in the corpus twice\n  a (good.jsonl, row 0); " in said.out
    assert "The most repeated one occurs 3 times, in 3 documents." in said.out
    assert "  0.8571, 6 of 7 shingles, 100% of the text's: c (good.jsonl, row 2); " in said.out
    (tmp_path / "text").write_text(TEXT)
    from_file = rote("query", run, "--file", tmp_path / "text", "-v")
    assert from_file.out == said.out
    assert from_file.err.startswith("query: done in ")
    with begin("query", run, "--json", "--file", "-") as process:
        out, err = process.communicate(TEXT)
    assert (process.returncode, err) == (OK, "")
    told = json.loads(out)
    assert (told["exact_copies"], told["most"]["most"], told["holders"]) == (2, 3, 3)


def test_nothing_found_is_no_failure(run):
    """An unknown text ends with 0."""
    ended = rote("query", run, "--text", "entirely unknown")
    assert (ended.code, ended.err) == (OK, "")
    assert "nowhere in the corpus" in ended.out


@pytest.mark.parametrize(
    "options", [(), ("--text", "a", "--file", "b"), ("--text",), ("--text", "a", "--local")]
)
def test_a_wrong_question_is_usage(run, options):
    """Exactly one of --text and --file."""
    ended = rote("query", run, *options)
    assert (ended.code, ended.out) == (USAGE, "")
    assert ended.err.startswith("rote: The command line is not valid.")


def test_a_text_that_cannot_be_asked_for_is_refused(run, tmp_path):
    """Empty, wordless, missing and badly encoded texts, each with what to do."""
    (tmp_path / "latin").write_bytes(b"caf\xe9 au lait")
    assert_refused(rote("query", run, "--text", ""), USAGE, "empty", "where: --text")
    assert_refused(rote("query", run, "--text=--!"), USAGE, "no words", "found: 3 bytes")
    ended = rote("query", run, "--file", tmp_path / "latin")
    assert_refused(ended, USAGE, "not UTF-8", "at byte 3", "latin")
    ended = rote("query", run, "--file", tmp_path / "missing")
    assert_refused(ended, USAGE, "cannot be read", "missing", "No such file")
    assert_refused(rote("query", run, "--file", tmp_path), USAGE, "cannot be read", "directory")


def test_bytes_that_are_no_text_are_refused_on_the_command_line(run):
    """An argument that is not UTF-8 is refused as a file is."""
    program = "from flows.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, "query", str(run), "--text", b"caf\xe9"],
        env={**environment(), "PYTHONUTF8": "1"},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == USAGE
    assert b"not UTF-8" in ended.stderr


def test_a_folder_that_cannot_be_asked_is_refused(run, tmp_path):
    """No run folder; a run whose scan was not finished."""
    assert_refused(rote("query", tmp_path, "--text", "a"), FAILED, "This is not a run folder.")
    unfinished = manifest(run)
    del unfinished["outputs"]["counts/all"]
    (tmp_path / "manifest.json").write_bytes(manifest_bytes(unfinished))
    ended = rote("query", tmp_path, "--text", "a")
    assert_refused(ended, USAGE, "its scan is not finished", "counts", "rote scan")


def test_a_fresh_interpreter_imports_nothing_of_prefect(run):
    """The command needs no server and starts none."""
    prelude = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(sum(n.split('.')[0] == 'prefect' for n in sys.modules)))"
    )
    ended = fresh("query", run, "--text", TEXT, prelude=prelude)
    assert (ended.code, ended.err) == (OK, "")
    assert ended.out.endswith("\n0\n")
