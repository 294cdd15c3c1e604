"""docs/evidence.md: no table without the command that makes it, and nothing that no record has."""

import re

import pytest

from benchmarks import evidence

COMMAND = re.compile(r"`python benchmarks/[a-z]+\.py ")


def sections():
    """Return the parts of the page that have a table, by their titles."""
    parts = evidence.PAGE.read_text(encoding="utf-8").split("\n## ")
    return {part.splitlines()[0]: part for part in parts if "\n| --- |" in part}


@pytest.mark.parametrize("title", sections())
def test_under_each_table_is_its_command(title):
    """A reader can make the figures again, whichever table they stand in."""
    after = sections()[title].rsplit("\n|", 1)[1]
    assert COMMAND.search(after)


def test_the_page_is_what_the_records_say(tmp_path, monkeypatch):
    """Writing it anew changes nothing."""
    before = evidence.PAGE.read_text(encoding="utf-8")
    monkeypatch.setattr(evidence, "PAGE", tmp_path / "evidence.md")
    evidence.main()
    assert (tmp_path / "evidence.md").read_text(encoding="utf-8") == before
