"""The section "What was removed": what that costs and what it avoids."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.data.headline import ordered
from pipeline.report.html.facts import blocks
from pipeline.report.html.markup import Html, join, number, percent, size, table, tag
from pipeline.report.html.phrases import reason
from pipeline.report.html.terms import term

RULE_FACTS = {
    "rows": "rows_removed",
    "bytes": "bytes_removed",
    "cut_rows": "rows_kept_with_parts_cut_or_masked",
    "cut_bytes": "bytes_cut_or_masked",
}  # what the facts of a rule are called on the page


def removed(data: Row) -> Html:
    """Return the section "What was removed, what that costs and avoids" of the page."""
    rows, corpus = data["removed"]["by_reason"], data["corpus"]
    if not rows:
        return join(
            [tag("p", "Nothing was removed.", class_="prose"), _spared(data), _stable(data)]
        )
    words, lost = (sum(row[key] for row in rows) for key in ("words", "lost_words"))
    intro = (
        f"It avoids {number(words)} of {number(corpus['words'])} words of training "
        f"({percent(words, corpus['words'])}). It costs {number(lost)} words "
        f"({percent(lost, corpus['words'], 2)}) that are in none of the documents that stay in "
        "their place: what near copies and excerpts say besides, and rows removed by other rules."
    )
    lines = [
        (
            reason(row["reason"]),
            row["rule"] or "",
            number(row["documents"]),
            size(row["text_bytes"]),
            number(row["words"]),
            number(row["lost_words"]),
            percent(row["lost_words"], row["words"]),
        )
        for row in rows
    ]
    head = ("removed", "rule", "rows", "text", "words avoided", "words lost", "of its words")
    caption = (
        "Words lost: the share of a removed text's ",
        term("shingle", "shingles"),
        " that its ",
        term("keeper"),
        " has not, by exact comparison. ",
        term("exact copy", "Exact copies"),
        " lose nothing.",
    )
    return join(
        [
            tag("p", intro, class_="prose"),
            _spared(data),
            _stable(data),
            _other_values(data),
            _endings(data),
            table(join(caption), head, lines, (0, 1), data_sort=True),
            _rules(data["removed"]["rules"], order=ordered(data)),
            _forecast(data),
        ]
    )


def _spared(data: Row) -> Html:
    """Return how many rows stayed only because their symbols differ from a near copy's."""
    spared, words = data["spared_for_symbols"], data["config"]["near"]["symbol_words"]
    if not spared:
        return join([])
    said = (
        f"{number(spared)} short rows (fewer than {words:,} words) stay although all or nearly all "
        "their words are in a row of better rank: their symbols differ, such as + and - "
        "(near.symbol_words)."
    )
    return tag("p", said, class_="prose")


def _stable(data: Row) -> Html:
    """Return how many rows earlier scans decide, where rows that stayed are to stay."""
    rows = data["stable_otherwise"]
    if rows is None:
        return join([])
    said = (
        f"{number(rows)} rows stay or go otherwise than by rank alone, because a row that stayed "
        "in an earlier scan stays (near.keepers)."
    )
    return tag("p", said, class_="prose")


def _other_values(data: Row) -> Html:
    """Return in which other columns removed copies differ from the rows that stay."""
    found = data["other_values"]
    if found is None or not found["columns"]:
        return join([])
    told = ", ".join(f"{number(row['rows'])} in {row['column']}" for row in found["columns"])
    said = (
        f"Of {number(found['rows'])} removed rows whose copy stays, some have other values than it "
        f"in other columns: {told}. rote explain tells of a row that stays which its copies had."
    )
    return tag("p", said, class_="prose")


def _endings(data: Row) -> Html:
    """Return how many near copies are one stem with another end: what the threshold took."""
    found = data["endings"]
    if not found["other_end"]:
        return join([])
    said = (
        f"Of {number(found['looked_at'])} short near copies that were looked at, "
        f"{number(found['other_end'])} begin as the row that stays does and end in other words: of "
        "questions with answers, another answer. A higher near.threshold keeps them."
    )
    return tag("p", said, class_="prose")


def _rules(rows: list[Row], *, order: bool) -> Html:
    """Return the table of rules, over doses counted again after each."""
    rows = [
        {
            RULE_FACTS.get(key, key): value
            for key, value in row.items()
            if not (order and key.startswith("expected_tokens"))
        }
        for row in rows
    ]
    names = {"rules": join([term("rule", "Rules"), ", in their order"])}
    return join(blocks({"rules": rows}, "", names)) if rows else join([])


def _forecast(data: Row) -> Html:
    """Return the table of the forecast before the filter and after it; nothing without one."""
    if ordered(data) or not data["removed"]["left"]:
        return join([])
    lines = [
        (
            title,
            number(row["documents"]),
            number(row["scored"]),
            number(row["risky"]),
            percent(row["risky"], row["scored"]),
            number(row["expected_tokens"]),
        )
        for title, row in zip(
            ("the corpus as given", "what stays, at the doses that are left"),
            data["removed"]["left"],
            strict=True,
        )
    ]
    caption = "The forecast before the filter and after it, over the documents that were scored."
    risky = join([term("risk"), " 0.5 or above"])
    head = ("", "documents", "scored", risky, "of those scored", term("expected tokens"))
    return table(caption, head, lines)
