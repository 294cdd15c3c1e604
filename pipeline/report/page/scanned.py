"""The section "What was scanned, and is it whole": funnel, rejected rows; the list of shards."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.html.charts import meter
from pipeline.report.html.markup import Html, join, number, percent, size, table, tag
from pipeline.report.html.phrases import REJECTED
from pipeline.report.html.terms import term
from pipeline.report.quotes.quotes import label

_TERMS = {
    "exact_copy": "exact copy",
    "near_copy": "near copy",
    "contained": "contained",
    "risk": "risk",
    "kept": "kept",
}


def scanned(data: Row) -> Html:
    """Return the section "What was scanned, and is it whole" of the page."""
    corpus = data["corpus"]
    skipped = [note for note in data["notes"] if note["kind"] == "skipped_file"]
    whole = (
        (
            f"Every row is accounted for: {number(corpus['rows'])} read = "
            f"{number(corpus['rejected'])} rejected + {number(corpus['documents'])} "
        ),
        term("document", "documents"),
        ", each kept or removed once. ",
    )
    left_out = (
        f"{len(skipped):,} files could not be read and were left out (see the notes)."
        if skipped
        else "Every file that rote reads could be read."
    )
    facts = (
        (
            f"{size(corpus['file_bytes'])} on disk; {number(corpus['distinct_texts'])} different "
            f"texts; {number(corpus['families'])} "
        ),
        term("family", "families"),
        "; content digest ",
        tag("code", data["provenance"]["corpus"]),
        ".",
    )
    parts = [
        tag("p", *whole, left_out, class_="prose"),
        tag("p", *facts, class_="prose"),
        _funnel(data),
    ]
    if data["rejected"]:
        parts.append(_rejected(data))
    return join(parts)


def _funnel(data: Row) -> Html:
    """Return the table from rows read to rows kept."""
    total = data["corpus"]["rows"]
    ends = {"read", "kept"}
    lines = [
        (
            tag("span", _step(step), tag("small", step["meaning"])),
            number(step["rows"]) if step["step"] in ends else _minus(step["rows"]),
            percent(step["rows"], total),
            meter(step["rows"] / total if total else 0.0, "bar" if step["step"] in ends else "cut"),
            size(step["text_bytes"]),
        )
        for step in data["funnel"]
    ]
    caption = "Rows read = rejected + removed + kept. Each row is counted once."
    return table(
        caption, ("step", "rows", "of rows read", "", "text"), lines, (0, 3), class_="funnel"
    )


def _step(step: Row) -> str:
    """Return the title of a step, which leads to its meaning where it has one."""
    name, title = _TERMS.get(step["step"], ""), str(step["title"])
    return term(name, title) if name else title


def _minus(count: int) -> str:
    """Return a number that is taken away, with its sign."""
    return f"\N{MINUS SIGN}{count:,}" if count else "0"


def _rejected(data: Row) -> Html:
    """Return the table of rejected rows by reason."""
    lines = [
        (
            join(
                [
                    tag("span", REJECTED.get(row["reason"], row["reason"])),
                    tag("small", row["reason"]),
                ]
            ),
            number(row["rows"]),
            percent(row["rows"], data["corpus"]["rows"], 2),
        )
        for row in data["rejected"]
    ]
    return table(
        "Rows that are no documents; rejected/ holds each with its reason.",
        ("reason", "rows", "of rows read"),
        lines,
        class_="small",
    )


def shards(data: Row) -> Html:
    """Return the table of shards, to be opened."""
    listed = data["shards"]
    shown = list(listed["shown"])
    names = [label(row["name"]) for row in shown]
    if listed["others"]:
        shown.append(listed["others"])
        names.append(f"{listed['count'] - len(shown) + 1:,} more shards")
    lines = [
        (
            name,
            number(row["rows"]),
            number(row["rejected"]),
            number(row["documents"] - row["kept"]),
            number(row["kept"]),
            percent(row["kept"], row["rows"]),
            meter(row["kept"] / row["rows"] if row["rows"] else 0),
            size(row["text_bytes"]),
        )
        for name, row in zip(names, shown, strict=True)
    ]
    head = ("shard", "rows", "rejected", "removed", "kept", "of rows", "", "text")
    caption = join([f"{listed['count']:,} ", term("shard", "shards"), ", by number."])
    inside = table(caption, head, lines, (0, 6), data_sort=True)
    return tag("details", tag("summary", f"{listed['count']:,} shards"), inside)
