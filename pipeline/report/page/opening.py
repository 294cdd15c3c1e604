"""The first screen of the page: what to remove first and why, the figures, the first alarms."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.data.alarms import grouped
from pipeline.report.data.headline import ordered
from pipeline.report.data.priorities import top_rows
from pipeline.report.html.markup import Html, join, number, percent, size, table, tag
from pipeline.report.html.phrases import RULES, WHY, kind
from pipeline.report.html.terms import term
from pipeline.report.page import risk as risk_page
from pipeline.report.quotes.quotes import label

ALARMS = 3
TITLE = "What this corpus would teach by rote"
SHOWN = 6
_TERMS = {
    "exact": "exact copy",
    "near": "near copy",
    "contained": "contained",
    "passage": "span",
    "risk": "memorized",
}


def header(data: Row) -> Html:
    """Return the title of the page and one line on the corpus."""
    corpus = data["corpus"]
    shards = f"{corpus['shards']:,} shard{'' if corpus['shards'] == 1 else 's'}"
    facts = (
        f"{number(corpus['documents'])} documents, {size(corpus['text_bytes'])} of text, "
        f"{number(corpus['words'])} words in {shards}."
    )
    return tag(
        "header",
        tag("p", f"rote {data['rote']['version']}, scan {data['rote']['scan']}", class_="brand"),
        tag("h1", title(data)),
        tag("p", facts, class_="lead"),
    )


def title(data: Row) -> str:
    """Return the title of the page: what the report is of, where that is set."""
    named = data["config"]["report"]["title"]
    return f"{label(named, 200)}: what it would teach by rote" if named else TITLE


def sentences(data: Row) -> list[str]:
    """Return the sentences on what to remove first.

    The second, where there is one, is on what is largest among what still stays.
    """
    rows = data["first"]
    if not rows:
        return ["Nothing to remove: no copy, no repeated passage and no risky text was found."]
    top, stays = rows[0], next((row for row in rows if not row["done"]), None)
    order = ordered(data)
    found = [f"First: {_in_words(top, order=order)}. {_state(top, data)}"]
    if stays is not None and stays is not top:
        found.append(
            f"Next, still in kept/: {_in_words(stays, order=order)}. {_state(stays, data)}"
        )
    return found


def _in_words(row: Row, *, order: bool) -> str:
    """Return one kind of repetition in words."""
    where = label(row["source_group"], 60)
    rows = f"{row['documents']:,} row{'' if row['documents'] == 1 else 's'}"
    if row["words"] is not None:
        amount = f"{row['words']:,} words that say again what stays, in "
    else:
        amount = "" if order else f"{row['expected_tokens']:,} tokens at risk, in "
    return f"{kind(row['kind'])} in {where}: {amount}{rows}"


def _state(row: Row, data: Row) -> str:
    """Return a sentence on whether it is removed, and by which rule it could be."""
    if row["done"]:
        return "This filter has removed them."
    rule = RULES.get(row["kind"])
    if rule in data["config"]["policy"]["rules"]:
        return f"The rule {rule} left them: exempt, below its threshold, or too short to cut."
    return f"The rule {rule} takes them." if rule else "No rule has taken them."


def remove_first(data: Row) -> Html:
    """Return the section "What to remove first" of the page."""
    rows = top_rows(data["first"], SHOWN)
    scored = not ordered(data) and any(row["expected_tokens"] is not None for row in rows)
    lead = [tag("p", text, class_="lead") for text in sentences(data)]
    parts: list[Html] = [tag("h2", "What to remove first", id="first-title"), *lead]
    if rows:
        head = ["what and why", "rows", "words repeated"]
        head += ["tokens at risk"] if scored else []
        kinds = [row["kind"] for row in rows]
        lines = [
            [
                _named(row, data, linked=row["kind"] not in kinds[:place]),
                number(row["documents"]),
                number(row["words"]),
                *([number(row["expected_tokens"])] if scored else []),
            ]
            for place, row in enumerate(rows)
        ]
        caption = ["Largest first, by words of training text that repeat what is there already."]
        if scored:
            caption += [" ", term("tokens at risk", "Tokens at risk"), ": what the "]
            caption += [term("target"), " is forecast to memorize, row by row, before the filter."]
        parts.append(table(join(caption), head, lines, data_sort=True, class_="first"))
    return tag("section", *parts, id="first", aria_labelledby="first-title")


def _named(row: Row, data: Row, *, linked: bool) -> Html:
    """Return the first cell of a row: what it is, why it should go, whether it has gone.

    Args:
        row: one kind of repetition in one source group.
        data: of the report.
        linked: whether the kind leads to its meaning.
    """
    rule = RULES.get(row["kind"])
    how = "left by" if rule in data["config"]["policy"]["rules"] else "rule"
    state = (
        tag("span", "removed", class_="badge done")
        if row["done"]
        else tag("span", f"in kept/{f', {how} {rule}' if rule else ''}", class_="badge open")
    )
    name: str = kind(row["kind"])
    if linked and row["kind"] in _TERMS:
        name = term(_TERMS[row["kind"]], name)
    title = tag("span", tag("b", name), " in ", label(row["source_group"], 60), " ")
    return join([title, state, tag("small", WHY.get(row["kind"], "taken by a rule"))])


def repeated(data: Row) -> str:
    """Return the share of the words that repeat, without those of sources that are shown apart."""
    apart = data["apart"] or {"words": 0, "repeated_words": 0}
    part, whole = (data["corpus"][key] - apart[key] for key in ("repeated_words", "words"))
    return percent(part, whole)


def tiles(data: Row) -> Html:
    """Return the tiles of the page: the figures of the whole."""
    corpus, steps = data["corpus"], {step["step"]: step["rows"] for step in data["funnel"]}
    gone, window = corpus["documents"] - steps["kept"], data["config"]["window"]["words"]
    alarms = len(grouped(data["alarms"]))
    elsewhere = "; those shown apart left out" if data["apart"] else ""
    shown = [
        (
            term("kept"),
            number(steps["kept"]),
            f"{percent(steps['kept'], corpus['rows'])} of the rows read",
            "",
        ),
        ("removed", number(gone), f"{percent(gone, corpus['rows'])} of the rows read", ""),
        (
            term("repeated word", "repeated words"),
            repeated(data),
            f"lie in {window} words that occur more than once{elsewhere}",
            "",
        ),
        risk_page.tile(data),
        (
            term("alarm", "alarms"),
            number(alarms),
            tag("a", "to look at before use", href="#audit") if alarms else "nothing unusual",
            "warn" if alarms else "",
        ),
    ]
    return tag(
        "dl",
        *(
            tag(
                "div",
                tag("dt", name),
                tag("dd", value, class_="figure"),
                tag("dd", note, class_="note"),
                class_=f"tile {style}".strip(),
            )
            for name, value, note, style in shown
        ),
        class_="tiles",
    )


def alarms(entries: list[Row], most: int = ALARMS, where: str = "#audit") -> Html:
    """Return the list of the first alarms and notes, and how many more there are."""
    if not entries:
        return join([])
    shown = grouped(entries)
    items = [
        tag(
            "li",
            tag("span", entry["level"], class_="level"),
            entry["sentence"],
            class_=entry["level"],
        )
        for entry in shown[:most]
    ]
    more = len(shown) - len(items)
    if more:
        text = f"and {more:,} more"
        items.append(tag("li", tag("a", text, href=where) if where else f"{text} in report.json"))
    return tag("ul", *items, class_="alarms")
