"""The section "What changed": this run beside another one."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.data.headline import ordered
from pipeline.report.html.facts import columns
from pipeline.report.html.markup import DASH, Figure, Html, figure, join, number, size, table, tag
from pipeline.report.html.phrases import fate
from pipeline.report.html.terms import term
from pipeline.report.quotes.quotes import label


def changes(data: Row) -> Html:
    """Return the section "What changed" of the page."""
    found = data["changes"]
    shards = found["shards"]
    intro = (
        f"Against {label(found['name'])} (scan {found['scan']}, rote {found['version']}): "
        f"{shards['added']:,} shards came, {shards['gone']:,} went, {shards['changed']:,} have "
        f"other bytes, {shards['same']:,} are the same."
    )
    parts: list[Html] = [tag("p", intro, class_="prose")]
    parts.append(
        columns([_sides("The corpus and its copies.", found["totals"]), _fates(found["fates"])])
    )
    tables = []
    if told := forecast_sides(data):
        tables.append(_sides("The forecast.", told))
    if found["settings"]:
        tables.append(_settings(found["settings"]))
    if tables:
        parts.append(columns(tables))
    if found["sources"]:
        parts.append(_sources(found["sources"]))
    parts.append(_clusters(found["clusters"]))
    return join(parts)


def forecast_sides(data: Row) -> list[Row]:
    """Return the measures of the forecast that both runs have; none where risks are an order."""
    rows = [] if ordered(data) else data["changes"]["risk"] or []
    return [row for row in rows if None not in (row["before"], row["now"])]


def _sides(caption: str, rows: list[Row]) -> Html:
    """Return a table of measures before and now."""
    lines = [
        (
            row["measure"].replace("_", " "),
            number(row["before"]),
            number(row["now"]),
            _change(row["before"], row["now"]),
        )
        for row in rows
    ]
    return table(caption, ("", "before", "now", "change"), lines, class_="small facts")


def _change(before: float, now: float) -> Figure:
    """Return a difference with its sign."""
    difference = now - before
    sign = "+" if difference > 0 else "\N{MINUS SIGN}" if difference < 0 else ""
    return figure(f"{sign}{abs(difference):,}", difference)


def _fates(rows: list[Row]) -> Html:
    """Return the table of documents whose fate changed."""
    lines = [
        (fate(row["before"]), fate(row["now"]), number(row["documents"]), size(row["text_bytes"]))
        for row in rows
        if row["before"] != row["now"]
    ]
    same = sum(row["documents"] for row in rows if row["before"] == row["now"])
    caption = f"Documents whose fate changed; {same:,} have the same as before."
    return table(caption, ("before", "now", "documents", "text"), lines, (0, 1), data_sort=True)


def _settings(rows: list[Row]) -> Html:
    """Return the table of settings that differ."""
    lines = [(row["setting"], _setting(row["before"]), _setting(row["now"])) for row in rows]
    return table(
        "Settings that differ.", ("setting", "before", "now"), lines, (0, 1, 2), class_="small"
    )


def _setting(value: object) -> str:
    """Return a setting as it is shown."""
    return DASH if value is None else label(str(value))


def _sources(rows: list[Row]) -> Html:
    """Return the table of source groups that changed."""
    lines = [
        (
            label(row["source_group"]),
            number(row["documents_before"]),
            number(row["documents_now"]),
            number(row["kept_before"]),
            number(row["kept_now"]),
            _change(row["kept_before"], row["kept_now"]),
        )
        for row in rows
    ]
    head = ("source group", "documents before", "now", "kept before", "now", "change of kept")
    caption = join([term("source group", "Source groups"), " that changed."])
    return table(caption, head, lines, data_sort=True)


def _clusters(rows: list[Row]) -> Html:
    """Return the table of clusters that are new."""
    if not rows:
        return tag("p", "No cluster of copies is new.", class_="prose")
    lines = [
        (
            row["cluster"][:12],
            number(row["members"]),
            size(row["text_bytes"]),
            label(row["source_group"]),
        )
        for row in rows
    ]
    caption = (
        "New ",
        term("cluster", "clusters"),
        f", the largest of {rows[0]['new_clusters']:,}: none of their texts was there before.",
    )
    head = ("cluster", "documents", "text", "source group of its first")
    return table(join(caption), head, lines, (0, 3), data_sort=True)
