"""The facts of a stage as tables: every number and word that it reports is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.engine.tables import Row
from pipeline.report.html.markup import Html, join, number, table, tag, text_of
from pipeline.report.quotes.quotes import label

INTERVAL = "_95"
SENTENCE = 40
SHARES = frozenset({"rate", "rates", "share"})  # words in the names of facts that are shown in %
OF_FAMILIES = "rate_of_families"


def blocks(
    facts: Mapping[str, Any], about: str, names: Mapping[str, str] | None = None
) -> list[Html]:
    """Return the single facts as one table, then one table per list or group of facts, in order.

    A fact named `x_95` is the 95% interval of the fact `x` and is shown beside it.

    Args:
        facts: by name.
        about: stands before the titles.
        names: titles of facts that their own names do not tell.
    """
    single = {name: value for name, value in facts.items() if _is_single(value)}
    found = [_pairs(single, about)] if single else []
    for name, value in facts.items():
        told = f"{text_of(about)}: {words(name)}".removeprefix(": ").capitalize()
        title = (names or {}).get(name) or told
        if isinstance(value, Mapping) and value:
            found += _grouped(value, title)
        elif isinstance(value, list) and value and not _is_single(value):
            found.append(_listed([dict(row) for row in value if isinstance(row, Mapping)], title))
    return found


def words(name: str) -> str:
    """Return the name of a fact as words."""
    if name.endswith(INTERVAL):
        return f"{words(name.removesuffix(INTERVAL))}, 95% interval"
    return name.replace("_", " ")


def shown(value: object) -> str:
    """Return one fact as a person reads it; a list of two numbers is an interval."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return number(value) if value == int(value) and abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, list):
        return (" to " if len(value) == 2 else ", ").join(shown(part) for part in value)
    return "\N{EN DASH}" if value is None else label(str(value), 400)


def fact(name: str, value: object) -> str:
    """Return a fact as a person reads it: a rate or a share, and its interval, in percent."""
    numbers = value if isinstance(value, list) else [value]
    if SHARES.isdisjoint(name.split("_")) or not all(isinstance(one, float) for one in numbers):
        return shown(value)
    return " to ".join(f"{one:.1%}" for one in numbers)


def with_rate_of_families(row: Mapping[str, Any]) -> Row:
    """Return facts with the rate of families before its interval: a rate of sequences is another.

    Args:
        row: facts, perhaps with an interval of the rate of families.
    """
    hits, total = row.get("families_memorized"), row.get("families")
    added: Row = {}
    for name, value in row.items():
        if name == f"{OF_FAMILIES}{INTERVAL}" and hits is not None and total:
            added.setdefault(OF_FAMILIES, hits / total)
        added[name] = value
    return added


def _is_single(value: object) -> bool:
    """Tell whether a fact is one value, or a list of such."""
    if isinstance(value, list):
        return all(not isinstance(part, Mapping | list) for part in value)
    return not isinstance(value, Mapping)


def _grouped(value: Mapping[str, Any], title: str) -> list[Html]:
    """Return groups of the same single facts as one table, anything else as blocks of its own."""
    rows = [entry for entry in value.values() if isinstance(entry, Mapping)]
    alike = len(rows) == len(value) and all(
        _is_single(cell) for row in rows for cell in row.values()
    )
    if alike:
        return [_listed([{"": words(name), **entry} for name, entry in value.items()], title)]
    return blocks(value, title)


def _pairs(single: Row, title: str) -> Html:
    """Return names and values as a table.

    Sentences, which would make a wide column, go into the caption.
    """
    sentences = {name: value for name, value in single.items() if len(str(value)) > SENTENCE}
    base = [name for name in single if name not in sentences and not _is_interval(name, single)]
    intervals = any(f"{name}{INTERVAL}" in single for name in base)
    lines = []
    for name in base:
        interval = single.get(f"{name}{INTERVAL}")
        beside = ["" if interval is None else fact(name, interval)] if intervals else []
        lines.append((words(name), fact(name, single[name]), *beside))
    head = ["", "value", *(["95% interval"] if intervals else [])]
    more = (f"; {words(name)}: {shown(value)}" for name, value in sentences.items())
    return table(join([title, *more, "."]), head, lines, class_="small facts")


def _is_interval(name: str, single: Row) -> bool:
    """Tell whether a fact is the interval of another."""
    return name.endswith(INTERVAL) and name.removesuffix(INTERVAL) in single


def _listed(rows: list[Row], title: str) -> Html:
    """Return a list of facts of the same names as a table."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    textual = [
        place
        for place, key in enumerate(keys)
        if any(isinstance(row.get(key), str) for row in rows)
    ]
    lines = [[fact(key, row.get(key)) for key in keys] for row in rows]
    return table(
        join([title, "."]), [words(key) for key in keys], lines, [0, *textual], class_="small facts"
    )


def columns(blocks_shown: list[Html]) -> Html:
    """Return blocks side by side where there is room."""
    return tag("div", *blocks_shown, class_="tables")
