"""The campaign's table, from its results, as JSON and as Markdown."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.campaign.case import BAD, OUTCOMES, Result

PARTS = ("kills", "prefect", "damages", "flips", "refusals", "power", "inputs", "hostile", "fuzz")


def table(results: Iterable[Result], planned: dict[str, int]) -> dict[str, Any]:
    """Return what is recorded: counts by part and row, and each bad case in words.

    Args:
        results: of all cases that were tried.
        planned: how many cases a part has in all; parts without an end are not in it.
    """
    rows: dict[tuple[str, str], Counter[str]] = {}
    bad = []
    for one in results:
        rows.setdefault((one.part, one.row), Counter())[one.outcome] += one.weight
        if one.outcome in BAD:
            bad.append({"part": one.part, "name": one.name, one.outcome: one.seen})
    order = sorted(rows, key=lambda key: (PARTS.index(key[0]), key[1]))
    return {
        "rows": [
            {
                "part": part,
                "row": row,
                "tried": rows[part, row].total(),
                **{outcome: rows[part, row][outcome] for outcome in OUTCOMES},
            }
            for part, row in order
        ],
        "planned": planned,
        "bad": bad,
    }


def markdown(found: dict[str, Any]) -> str:
    """Return the table for people."""
    columns = ("part", "row", "tried", *OUTCOMES)
    lines = [f"| {' | '.join(columns)} |", f"|---|---|{'---:|' * (len(columns) - 2)}"]
    lines += [
        f"| {' | '.join(_cell(row[column]) for column in columns)} |" for row in found["rows"]
    ]
    totals = {c: sum(row[c] for row in found["rows"]) for c in columns[2:]}
    lines.append(f"| all |  | {' | '.join(_cell(totals[c]) for c in columns[2:])} |")
    return "\n".join(lines) + "\n"


def _cell(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else value
