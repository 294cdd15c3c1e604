"""The section "Limits, settings, versions, digests", and the last lines of the page."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.html.assets import licences
from pipeline.report.html.markup import Html, join, table, tag
from pipeline.report.html.terms import term
from pipeline.report.page.scanned import shards
from pipeline.report.quotes.quotes import label


def ending(data: Row) -> Html:
    """Return the section "Limits, settings, versions, digests" of the page."""
    limits = tag("ul", *(tag("li", text) for text in data["assumptions"]), class_="prose")
    return join(
        [
            tag("h3", "What these numbers do and do not say"),
            limits,
            shards(data),
            _settings(data),
            _digests(data),
            tag(
                "details",
                tag("summary", "Licences of the charts' library"),
                tag("pre", licences(), tabindex="0", aria_label="Licences"),
            ),
        ]
    )


def _settings(data: Row) -> Html:
    """Return the list of all settings, to be opened."""
    lines = [
        (f"{section}.{key}", value)
        for section, values in sorted(data["config"].items())
        if isinstance(values, dict)
        for key, value in sorted(values.items())
    ]
    entries = [
        part for name, value in lines for part in (tag("dt", name), tag("dd", _setting(value)))
    ]
    return tag(
        "details",
        tag("summary", f"All {len(lines)} settings that this result depends on"),
        tag("dl", *entries, class_="settings"),
    )


def _setting(value: object) -> str:
    """Return a setting as it is shown."""
    if value is None or value in ([], "", {}):
        return "\N{EN DASH}"
    if isinstance(value, list):
        return label(", ".join(map(str, value)), 400)
    return repr(value) if value == "\n\n" else label(str(value), 400)


def _digests(data: Row) -> Html:
    """Return the table of versions and digests, to be opened."""
    rote = data["rote"]
    lines = [
        ("rote", str(rote["version"])),
        ("tables version", str(rote["schema"])),
        ("Unicode", str(rote["unicode"])),
        ("corpus", tag("code", data["provenance"]["corpus"])),
        *((row["stage"], tag("code", row["digest"])) for row in data["provenance"]["stages"]),
    ]
    caption = (
        "What the numbers were made from: equal ",
        term("digest", "digests"),
        ", equal tables.",
    )
    return tag(
        "details",
        tag("summary", "Versions and digests"),
        table(join(caption), ("what", "version or digest"), lines, (0, 1), class_="small"),
    )


def footer(data: Row) -> Html:
    """Return the last lines of the page."""
    text = (
        f"rote {data['rote']['version']}. The same numbers are in report.json, one page of them in "
        "summary.md. For one document: "
    )
    return tag("footer", tag("p", text, tag("code", "rote explain RUN DOC_ID")))
