"""Take out of report.json each number that a forecast which is only an order cannot vouch for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.engine.tables import Row
from pipeline.report.data.headline import ordered

_OF_RULES = ("expected_tokens_avoided", "expected_tokens_left")
_OF_ROWS = ("risk", "expected_tokens")
_OF_SOURCES = ("risky", "largest", "expected_tokens")
_OF_SIDES = ("risky", "expected_tokens")
AMOUNTS = frozenset({"risky", "tokens_at_risk"})
"""The measures of `changes.risk` that rest on single risks."""


def as_order(data: Row) -> Row:
    """Return report.json with null in place of single risks and of amounts that rest on them.

    Only for a target over ten times the proxies, in size or in tokens; of all others the data is
    returned as it is. What stays is the order of the lists, and both ends of each interval.

    Args:
        data: of report.json, whose lists are in order already; it is changed.
    """
    if not ordered(data):
        return data
    found, removed = data["risk"], data["removed"]
    if any(sum(counts) for counts in found["histogram"].values()):
        found["histogram"] = None
    _without(found["top"], _OF_ROWS)
    _without(found["sources"], _OF_SOURCES)
    _without(removed["left"] or [], _OF_SIDES)
    _without(removed["rules"], _OF_RULES)
    _without(data["first"], ("expected_tokens",))
    if data["personal"]:
        _without(data["personal"]["kinds"], ("likely",))
        _without(data["personal"]["top"], ("risk",))
    return data


def _without(rows: Iterable[Row], keys: Sequence[str]) -> None:
    """Put null in the place of numbers of rows, where they are there."""
    for row in rows:
        row.update(dict.fromkeys(row.keys() & {*keys}))


def sides_as_order(rows: Sequence[Row], *, before: bool, now: bool) -> list[Row]:
    """Return `changes.risk` of report.json with null for each amount of a run that has an order.

    Args:
        rows: a measure each, with its value before and now.
        before: whether the risks of the run before are an order.
        now: whether those of this run are.
    """
    order = {"before": before, "now": now}
    return [
        {
            key: None if row["measure"] in AMOUNTS and order.get(key) else value
            for key, value in row.items()
        }
        for row in rows
    ]
