"""The sections about rows: the funnel, the source groups, the shards, what was rejected."""

from __future__ import annotations

from typing import Any

from pipeline.report.alarms import GROUP_ROWS
from pipeline.report.charts import meter
from pipeline.report.markup import Html, join, number, percent, size, table, tag
from pipeline.report.quotes import label

Data = dict[str, Any]
Section = tuple[str, str, Html]

_REASONS = {
    "null_text": "the text is null",
    "empty_text": "the text is empty",
    "invalid_utf8": "the bytes are not UTF-8",
    "not_json": "the line is not a JSON object",
    "not_a_string": "the text is not a string",
    "csv_fields": "the line has another number of fields than the header",
    "lone_surrogate": "half of a character (a lone surrogate)",
}


def sections(data: Data) -> list[Section]:
    """Return the sections on rows, in order."""
    found = [
        ("rows", "Where the rows went", _funnel(data)),
        ("sources", "By source group", _sources(data)),
    ]
    if data["rejected"]:
        found.append(("rejected", "Rejected rows", _rejected(data)))
    return [*found, ("shards", "By shard", _shards(data))]


def _funnel(data: Data) -> Html:
    total = data["corpus"]["rows"]
    lines = [
        (
            tag("span", step["title"], tag("small", step["meaning"])),
            number(step["rows"]) if step["step"] in {"read", "kept"} else _minus(step["rows"]),
            percent(step["rows"], total),
            meter(
                step["rows"] / total if total else 0.0,
                "bar" if step["step"] in {"read", "kept"} else "cut",
            ),
            size(step["text_bytes"]),
        )
        for step in data["funnel"]
    ]
    caption = "Rows read = rejected + removed + kept. Each row is counted once."
    return table(
        caption, ("step", "rows", "of rows read", "", "text"), lines, (0, 3), class_="funnel"
    )


def _minus(count: int) -> str:
    return f"\N{MINUS SIGN}{count:,}" if count else "0"


def _sources(data: Data) -> Html:
    sources, window = data["sources"], data["config"]["window"]["words"]
    told = [(label(row["source_group"]), row) for row in sources["shown"]]
    if sources["others"]:
        told.append((f"{sources['others']['groups']:,} smaller groups", sources["others"]))
    other = any(row["risk"] + row["other"] for _, row in told)
    contained = any(row["contained"] for _, row in told)
    caption = (
        f"Documents of {sources['count']:,} source groups, the largest first. Repeated words lie "
        f"in a window of {window} words that occurs more than once anywhere in the corpus."
    )
    head = ["source group", "documents", "kept", "exact copies", "near copies"]
    head += ["contained"] if contained else []
    head += ["by risk, other"] if other else []
    head += ["rows removed", "", "bytes removed", "repeated words"]
    lines = [_source(name, row, contained=contained, other=other) for name, row in told]
    return table(caption, head, lines, (0, head.index("")))


def _source(name: str, row: Data, *, contained: bool, other: bool) -> list[object]:
    return [
        name,
        number(row["documents"]),
        number(row["kept"]),
        number(row["exact_copies"]),
        number(row["near_copies"]),
        *([number(row["contained"])] if contained else []),
        *([number(row["risk"] + row["other"])] if other else []),
        tag("span", percent(row["removed"], row["documents"]), class_=_severity(row)),
        meter(row["removed"] / row["documents"], "cut"),
        percent(row["removed_bytes"], row["text_bytes"]),
        percent(row["repeated_words"], row["words"]),
    ]


def _severity(row: Data) -> str | None:
    alarms = row["documents"] >= GROUP_ROWS and 2 * row["removed"] > row["documents"]
    return "warn" if alarms and row["source_group"] is not None else None


def _shards(data: Data) -> Html:
    shards = data["shards"]
    shown = list(shards["shown"])
    names = [label(row["name"]) for row in shown]
    if shards["others"]:
        shown.append(shards["others"])
        names.append(f"{shards['count'] - len(shown) + 1:,} more shards")
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
    inside = table(f"{shards['count']:,} shards, by number.", head, lines, (0, 6))
    return tag("details", tag("summary", f"{shards['count']:,} shards"), inside)


def _rejected(data: Data) -> Html:
    lines = [
        (
            join(
                [
                    tag("span", _REASONS.get(row["reason"], row["reason"])),
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
