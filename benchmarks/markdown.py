"""Tables in Markdown, and sizes as they stand in one."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], text: Container[int] = (0,)
) -> str:
    """Return a table in Markdown; columns at the places of `text` are text, others are numbers."""
    rule = ["---" if place in text else "---:" for place in range(len(head))]
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def size_of(count: float) -> str:
    """Return bytes in the largest unit of which there is one."""
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.{0 if count >= 10 * size else 1}f} {unit}"
    return f"{count / 1e6:,.0f} MB"
