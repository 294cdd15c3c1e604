"""The sections about repetition: counts, clusters, repeated passages, the pairs behind them."""

from __future__ import annotations

from typing import Any

from pipeline.report.charts import Axis, Mark, columns, curve, meter
from pipeline.report.markup import Html, join, number, percent, size, table, tag
from pipeline.report.quotes import label

Data = dict[str, Any]
Section = tuple[str, str, Html]


def sections(data: Data) -> list[Section]:
    """Return the sections on repetition, in order."""
    found = [("counts", "How often texts repeat", _copies(data))]
    if data["clusters"]:
        found.append(("clusters", "Largest clusters of copies", _clusters(data)))
    if data["spans"]["top"]:
        found.append(("spans", "Most repeated passages", _spans(data)))
    return [*found, ("pairs", "Pairs and what could be missed", _pairs(data))]


def document(found: Data) -> Html:
    """Return the name of a document and where it lies."""
    where = f"{label(found['shard'])}, row {found['shard_row']:,}"
    return join([tag("span", label(found["doc_id"]), class_="id"), tag("small", where)])


def quoted(text: str | None) -> Html:
    """Return a quote, in its own direction of writing; the text is already safe to show."""
    if text is None:
        return tag("p", "(the text could not be read)", class_="note")
    return tag("blockquote", tag("p", text, dir="auto"))


def _copies(data: Data) -> Html:
    copies, window = data["copies"], data["config"]["window"]["words"]
    threshold = data["config"]["near"]["threshold"]
    return tag(
        "div",
        _buckets(
            "Documents by exact count: how often the same bytes occur.", copies["exact_count"], data
        ),
        _buckets(
            f"Documents by near count: copies at Jaccard {threshold:g} or above, itself included.",
            copies["near_count"],
            data,
        ),
        _buckets(
            f"Documents by largest window count: how often their most repeated {window} words "
            f"occur (0: shorter than {window} words).",
            copies["max_window_count"],
            data,
        ),
        class_="three",
    )


def _buckets(caption: str, buckets: list[Data], data: Data) -> Html:
    total = data["corpus"]["documents"]
    lines = [
        (
            _range(row),
            number(row["documents"]),
            percent(row["documents"], total),
            meter(row["documents"] / total),
        )
        for row in buckets
    ]
    return table(caption, ("occurs", "documents", "share", ""), lines, (0, 3))


def _range(row: Data) -> str:
    low, high = row["from"], min(row["to"], row["largest"])
    return (
        f"{low:,}\N{MULTIPLICATION SIGN}"
        if low == high
        else f"{low:,}\N{EN DASH}{high:,}\N{MULTIPLICATION SIGN}"
    )


def _clusters(data: Data) -> Html:
    corpus = data["corpus"]
    intro = tag(
        "p",
        (
            f"{number(corpus['clusters'])} clusters hold {number(corpus['clustered_documents'])} "
            f"documents ({percent(corpus['clustered_documents'], corpus['documents'])}). A cluster "
            "joins documents over proved pairs; one document can stay for several, or several can "
            "stay in one cluster."
        ),
        class_="prose",
    )
    lines = [
        (
            number(row["members"]),
            number(row["kept"]),
            number(row["distinct_texts"]),
            size(row["text_bytes"]),
            _members(row),
            tag(
                "div",
                document(row["document"]),
                quoted(row["quote"]),
                tag("small", f"cluster {row['cluster'][:12]}"),
            ),
        )
        for row in data["clusters"]
    ]
    head = (
        "documents",
        "kept",
        "different texts",
        "text",
        "source groups",
        "the document that stays for most of them",
    )
    return join(
        [intro, table(f"The {len(lines)} largest clusters.", head, lines, (4, 5), class_="wide")]
    )


def _members(row: Data) -> Html:
    items = [
        tag("li", f"{label(part['source_group'], 40)} {part['members']:,}")
        for part in row["sources"]
    ]
    if row["more_sources"]:
        items.append(tag("li", f"and {row['more_sources']:,} more groups"))
    return tag("ul", *items, class_="plain")


def _spans(data: Data) -> Html:
    window = data["config"]["window"]["words"]
    windows = data["spans"]["windows"]
    parts = []
    if windows:
        parts.append(
            tag(
                "p",
                (
                    f"{number(windows['repeated_windows'])} different windows of {window} words "
                    f"occur more than once, {number(windows['occurrences'])} times in all; the "
                    f"most frequent {number(windows['largest'])} times."
                ),
                class_="prose",
            )
        )
    lines = [
        (
            number(row["occurrences"]),
            number(row["documents"]),
            number(row["words"]),
            tag(
                "div",
                quoted(row["quote"]),
                tag("p", "for example ", document(row["document"]), class_="where"),
            ),
        )
        for row in data["spans"]["top"]
    ]
    caption = (
        "Passages whose windows repeat most, each in its shortest form; what overlaps with one "
        "above is left out. Documents: those that hold the window that occurs most."
    )
    head = ("occurrences", "documents", "words", "passage")
    return join([*parts, table(caption, head, lines, (3,), class_="wide")])


def _pairs(data: Data) -> Html:
    pairs, near, sketch = data["pairs"], data["config"]["near"], data["config"]["sketch"]
    intro = tag(
        "p",
        (
            f"{number(pairs['pairs'])} pairs of different texts were proved at Jaccard "
            f"{near['count_threshold']:g} or above, {number(pairs['near'])} of them at "
            f"{near['threshold']:g} or above. MinHash with {sketch['bands']} bands of "
            f"{sketch['rows']} values proposes them; by its curve, {_about(pairs['missed'])} more "
            "exist that it did not propose."
        ),
        class_="prose",
    )
    axis = Axis(
        "exact Jaccard of the pair", near["count_threshold"], 1.0, _ticks(near["count_threshold"])
    )
    width = 1 / 50
    bars = [
        (max(b["from"], axis.low), min(b["from"] + width, 1.0), b["pairs"])
        for b in pairs["bins"]
        if b["from"] < 1
    ]
    marks = [Mark(near["threshold"], f"removed from {near['threshold']:g}")]
    histogram = tag(
        "figure",
        columns("Verified pairs by exact Jaccard", axis, bars, marks),
        tag(
            "figcaption",
            (
                f"Verified pairs by exact Jaccard, in steps of {width:g}; "
                f"{number(sum(b['pairs'] for b in pairs['bins'] if b['from'] >= 1))} more at 1: "
                "the same shingles, other bytes."
            ),
        ),
    )
    charts = tag("div", histogram, _s_curve(data), class_="two")
    return join([intro, charts, _planted(data), _search(data)])


def _planted(data: Data) -> Html:
    bins = [entry for entry in data["candidates"].get("planted", []) if entry["planted"]]
    if not bins:
        return tag("p", "No document was fit to plant near copies of.", class_="prose")
    sketch = data["config"]["sketch"]
    rows = [
        (
            f"{entry['from']:g} to {entry['from'] + 0.1:g}",
            number(entry["planted"]),
            number(entry["proposed"]),
            percent(entry["proposed"], entry["planted"], 1),
            percent(1 - (1 - (entry["from"] + 0.05) ** sketch["rows"]) ** sketch["bands"], 1, 1),
        )
        for entry in bins
    ]
    return table(
        "Self-audit: near copies of this corpus' own documents (words inserted, deleted, "
        "substituted, appended), planted in memory, and how many of them the search proposed.",
        ("exact Jaccard", "planted", "proposed", "share", "by the curve"),
        rows,
        class_="small",
    )


def _s_curve(data: Data) -> Html:
    near, sketch = data["config"]["near"], data["config"]["sketch"]
    points = [(k / 50, 1 - (1 - (k / 50) ** sketch["rows"]) ** sketch["bands"]) for k in range(51)]
    marks = [Mark(near["count_threshold"], "counted"), Mark(near["threshold"], "removed")]
    chart = curve(
        "Chance that a pair is proposed, by Jaccard",
        Axis("Jaccard of a pair", 0, 1, _ticks(0)),
        points,
        marks=marks,
    )
    at = {
        t: 1 - (1 - t ** sketch["rows"]) ** sketch["bands"]
        for t in (near["count_threshold"], near["threshold"])
    }
    told = ", ".join(f"{percent(chance, 1, 2)} at {t:g}" for t, chance in at.items())
    return tag(
        "figure", chart, tag("figcaption", f"Chance that a pair becomes a candidate: {told}.")
    )


def _search(data: Data) -> Html:
    facts = data["candidates"]
    windows = data["corpus"]["windows"]
    lines = [
        ("candidates verified", facts.get("candidates")),
        ("of them at or above the counting threshold", data["pairs"]["pairs"]),
        ("largest bucket, documents", facts.get("largest_bucket")),
        ("buckets too large to pair in full", facts.get("capped_buckets")),
        ("documents whose near counts are lower bounds", data["corpus"]["near_capped"]),
        *(
            (f"near copies missed by that at {at} and above, estimated", count)
            for at, count in facts.get("estimated_missed", {}).items()
            if facts.get("capped_buckets")
        ),
        ("windows counted", windows),
    ]
    rows: list[tuple[object, object]] = [
        (name, number(value)) for name, value in lines if value is not None
    ]
    rows.append(
        (
            join(
                [
                    "wrong counts to be expected from 64-bit hashes, n",
                    tag("sup", "2"),
                    "/2",
                    tag("sup", "65"),
                ]
            ),
            f"{windows**2 / 2.0**65:.2g}",
        )
    )
    return table("The search for pairs and windows.", ("", "number"), rows, class_="small")


def _about(missed: float) -> str:
    return "fewer than one" if missed < 1 else f"about {missed:,.0f}"


def _ticks(low: float) -> list[float]:
    return [k / 10 for k in range(11) if k / 10 >= low - 1e-9]
