from __future__ import annotations

import re

from pipeline.report.html.facts import blocks, fact, shown, with_rate_of_families, words
from pipeline.report.page.verdict import rate_told


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
        *("rate", "25.0%", "10.0% to 50.0%"),
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
    assert _cells(found[0]) == ["from", "share", "0", "50.0%", "0.1", "\N{EN DASH}"]
    assert _cells(found[1]) == ["", "n", "seen", "1", "unseen", "2"]
    assert _cells(found[3]) == ["", "value", "yes", "yes"]


def test_facts_read_as_words_and_numbers() -> None:
    """Large numbers have separators, intervals a word, and unknown is a dash."""
    assert [shown(value) for value in (True, 1234567, 2000.0, 0.00012, [1, 2], None)] == [
        *("yes", "1,234,567", "2,000", "0.00012", "1 to 2", "\N{EN DASH}")
    ]
    assert words("rate_of_families_95") == "rate of families, 95% interval"


def test_a_rate_stands_beside_an_interval_of_its_own_unit() -> None:
    """Rates and shares are in percent like their intervals; that of families is given its rate."""
    row = {"rate": 0.299, "families": 50, "families_memorized": 10}
    told = with_rate_of_families({**row, "rate_of_families_95": [0.112, 0.33]})
    assert list(told)[-2:] == ["rate_of_families", "rate_of_families_95"]
    assert [fact(name, told[name]) for name in ("rate", *list(told)[-2:])] == [
        *("29.9%", "20.0%", "11.2% to 33.0%")
    ]
    assert with_rate_of_families(row) == row
    assert [fact("rate", None), fact("learning_rate", 3), fact("brier", 0.2158)] == [
        *("\N{EN DASH}", "3", "0.2158")
    ]


def test_the_interval_of_the_summary_holds_its_rate() -> None:
    """A rate of sequences is never put beside the interval of a rate of families."""
    row = {"rate": 0.299, "families": 50, "families_memorized": 10}
    told = rate_told({**row, "rate_of_families_95": [0.112, 0.33]}, "that it never saw")
    assert told == "10 of 50 families that it never saw, 20% [11%, 33%]"
    told = rate_told({**row, "rate_of_families_95": None}, "that it saw")
    assert "29" not in told
