"""The page on exit codes: its examples are run, and end as it says."""

import re
import shlex

import pytest

from tests.e2e import corpora
from tests.e2e.command import ROOT, rote

EXAMPLES = re.findall(
    r"^\| `rote (.+)` \| (\d+) \|$", (ROOT / "docs/exit-codes.md").read_text(), re.MULTILINE
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a corpus, a run that was scanned, and an empty folder."""
    folder = tmp_path_factory.mktemp("codes")
    corpora.small(folder / "corpus")
    (folder / "empty").mkdir()
    assert rote("scan", folder / "corpus", "--out", folder / "run", "--local").code == 0
    return folder


@pytest.mark.parametrize(("command", "code"), EXAMPLES)
def test_a_command_of_the_page_ends_as_it_says(place, monkeypatch, command, code):
    """With nothing on standard error, or one message."""
    monkeypatch.chdir(place)
    ended = rote(*shlex.split(command))
    assert ended.code == int(code), ended.err
    told = [line for line in ended.err.splitlines() if line.startswith("rote: ")]
    assert len(told) == (1 if ended.code else 0)


def test_the_page_has_examples():
    """Of every code but that of Ctrl-C, which has tests of its own."""
    assert {code for _, code in EXAMPLES} == {"0", "1", "2"}
