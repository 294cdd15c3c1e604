"""The section "The worst clusters and passages", with excerpts."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.data.headline import is_order
from pipeline.report.html.facts import words
from pipeline.report.html.markup import DASH, Html, join, number, percent, size, table, tag
from pipeline.report.html.phrases import reason
from pipeline.report.html.terms import term
from pipeline.report.page.risk import interval, risk_figure
from pipeline.report.quotes.quotes import label

UNREAD = "(the text could not be read)"
HIDDEN = "(report.excerpts is off)"


def worst(data: Row) -> Html:
    """Return the section "The worst clusters and passages" of the page."""
    hidden = not data["config"]["report"]["excerpts"]
    parts = []
    if data["clusters"]:
        heading = tag("h3", "Largest ", term("cluster", "clusters"), " of copies")
        parts += [heading, _clusters(data, hidden=hidden)]
    if data["spans"]["top"]:
        heading = tag("h3", "Most repeated ", term("span", "passages"))
        parts += [heading, _spans(data, hidden=hidden)]
    if data["risk"] and data["risk"]["top"]:
        heading = tag("h3", "Texts of highest ", term("risk"))
        parts += [heading, _risky(data["risk"], hidden=hidden)]
    if not parts:
        parts.append(tag("p", "No text of this corpus repeats another.", class_="prose"))
    return join(parts)


def document(found: Row) -> Html:
    """Return the name of a document and where it is."""
    where = f"{label(found['shard'])}, row {found['shard_row']:,}"
    return join([tag("span", label(found["doc_id"]), class_="id"), tag("small", where)])


def quoted(text: str | None, *, hidden: bool = False) -> Html:
    """Return a quote, in its own direction of writing; the text is already safe to show."""
    if text is None:
        return tag("p", HIDDEN if hidden else UNREAD, class_="note")
    return tag("blockquote", tag("p", text, dir="auto"))


def _clusters(data: Row, *, hidden: bool) -> Html:
    """Return the table of the largest clusters of copies."""
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
                quoted(row["quote"], hidden=hidden),
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
        [
            intro,
            table(
                f"The {len(lines)} largest clusters.",
                head,
                lines,
                (4, 5),
                class_="wide",
                data_sort=True,
            ),
        ]
    )


def _members(row: Row) -> Html:
    """Return the list of source groups of a cluster."""
    items = [
        tag("li", f"{label(part['source_group'], 40)} {part['members']:,}")
        for part in row["sources"]
    ]
    if row["more_sources"]:
        items.append(tag("li", f"and {row['more_sources']:,} more groups"))
    return tag("ul", *items, class_="plain")


def _spans(data: Row, *, hidden: bool) -> Html:
    """Return the table of the most repeated passages."""
    window = data["config"]["window"]["words"]
    windows = data["spans"]["windows"]
    parts = []
    if windows:
        parts.append(
            tag(
                "p",
                f"{number(windows['repeated_windows'])} different ",
                term("window", "windows"),
                f" of {window} words occur more than once, {number(windows['occurrences'])} times "
                f"in all; the most frequent {number(windows['largest'])} times.",
                class_="prose",
            )
        )
    lines = [
        (
            number(row["words_to_cut"]),
            number(row["kept_occurrences"]),
            number(row["occurrences"]),
            number(row["documents"]),
            number(row["words"]),
            tag(
                "div",
                quoted(row["quote"], hidden=hidden),
                tag("p", "for example ", document(row["document"]), class_="where"),
            ),
        )
        for row in data["spans"]["top"]
    ]
    caption = (
        "Passages with most to cut from rows that stay first, each in its shortest form; what "
        "overlaps with one above is left out. Words to cut: all but one occurrence in rows that "
        "stay."
    )
    head = ("words to cut", "in rows that stay", "occurrences", "documents", "words", "passage")
    return join([*parts, table(caption, head, lines, (5,), class_="wide", data_sort=True)])


def _risky(risk: Row, *, hidden: bool) -> Html:
    """Return the table of the texts of highest risk; of an order, their places in it."""
    order = is_order(risk["model"])
    lines = [
        (
            number(place) if order else risk_figure(row["risk"]),
            interval(row["risk_low"], row["risk_high"]),
            number(row["document"]["exact_count"]),
            number(row["document"]["near_count"]),
            number(row["document"]["max_window_count"]),
            *([] if order else [words(row["kind"]) if row["kind"] else DASH]),
            "kept" if row["action"] != "drop" else f"removed: {reason(row['reason'])}",
            tag("div", document(row["document"]), quoted(row["quote"], hidden=hidden)),
        )
        for place, row in enumerate(risk["top"], 1)
    ]
    head = (
        "place" if order else "risk",
        "95% interval",
        "exact",
        "near",
        "window",
        *([] if order else ["kind"]),
        "decision",
        "riskiest sequence",
    )
    caption = (
        "The texts of highest risk, with their ",
        term("95% interval"),
        ", their ",
        term("exact count"),
        ", ",
        term("near count"),
        " and ",
        term("window count"),
        *([] if order else [", and their ", term("kind")]),
        "; what overlaps with one above is left out.",
    )
    textual = range(5, len(head))
    return table(join(caption), head, lines, textual, class_="wide", data_sort=True)
