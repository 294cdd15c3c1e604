from __future__ import annotations

import re

from pipeline.report.html.facts import blocks, shown, words


def _cells(markup: str) -> list[str]:
    return re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", markup)


def test_single_facts_stand_beside_their_intervals() -> None:
    """A fact named x_95 is the interval of x; a sentence goes into the caption."""
    facts = {"rate": 0.25, "rate_95": [0.1, 0.5], "sequences": 1200, "how": "a" * 50}
    found = blocks(facts, "Test")
    assert len(found) == 1
    assert f"<caption>Test; how: {'a' * 50}.</caption>" in found[0]
    assert _cells(found[0]) == [
        *("", "value", "95% interval"),
        *("rate", "0.25", "0.1 to 0.5"),
        *("sequences", "1,200", ""),
    ]


def test_lists_and_groups_become_tables_and_nothing_is_left_out() -> None:
    """Rows of a list, like groups by name, and groups within groups are all shown."""
    facts = {
        "bins": [{"from": 0.0, "share": 0.5}, {"from": 0.1, "share": None}],
        "by_kind": {"seen": {"n": 1}, "unseen": {"n": 2}},
        "mixed": {"n": 3, "deep": {"yes": True}},
    }
    found = blocks(facts, "")
    titles = [re.findall("<caption>([^<]*)", block)[0] for block in found]
    assert titles == ["Bins.", "By kind.", "Mixed.", "Mixed: deep."]
    assert _cells(found[0]) == ["from", "share", "0", "0.5", "0.1", "\N{EN DASH}"]
    assert _cells(found[1]) == ["", "n", "seen", "1", "unseen", "2"]
    assert _cells(found[3]) == ["", "value", "yes", "yes"]


def test_facts_read_as_words_and_numbers() -> None:
    """Large numbers have separators, intervals a word, and unknown is a dash."""
    assert [shown(value) for value in (True, 1234567, 2000.0, 0.00012, [1, 2], None)] == [
        *("yes", "1,234,567", "2,000", "0.00012", "1 to 2", "\N{EN DASH}")
    ]
    assert words("rate_of_families_95") == "rate of families, 95% interval"
