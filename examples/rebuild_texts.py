"""Texts as they were before cut-spans and mask-personal: kept/ and removed/spans put together.

A row of removed/spans is one passage that was cut: the row that it was cut from, the column, the
bytes that it had in that column's value as it was, the passage itself, and what is written in its
place.

    import pyarrow.parquet as pq
    kept = pq.read_table("my-run/kept/part-0.parquet")
    spans = pq.read_table("my-run/removed/spans/part-0.parquet")
    texts = originals(kept, spans, "text")
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def originals(
    kept: pa.Table, spans: pa.Table, column: str, struct: str = "rote"
) -> list[str | None]:
    """Return the values of a column of kept/ as they were, in its order.

    Args:
        kept: rows of kept/.
        spans: the rows of removed/spans of the same shards.
        column: the column of kept/ that texts were cut in.
        struct: the column that the filter added, `emit.column`.
    """
    cuts: dict[int, list[tuple[int, bytes, bytes]]] = {}
    for row in spans.select(["row_key", "column", "start_byte", "text", "instead"]).to_pylist():
        if row["column"] == column:
            cut = (row["start_byte"], row["text"], (row["instead"] or "").encode())
            cuts.setdefault(row["row_key"], []).append(cut)
    keys = [row["row_key"] for row in kept[struct].to_pylist()]
    values = kept[column].to_pylist()
    return [
        value if value is None else rebuilt(value.encode(), cuts.get(key, [])).decode()
        for key, value in zip(keys, values, strict=True)
    ]


def rebuilt(value: bytes, cuts: Sequence[tuple[int, bytes, bytes]]) -> bytes:
    """Return a value as it was.

    Args:
        value: the value in kept/.
        cuts: first byte in the value as it was, passage, what stands in its place; in order.
    """
    whole = bytearray()
    taken = 0
    for start, passage, instead in cuts:
        left = start - len(whole)  # bytes of the value that stood before the passage
        whole += value[taken : taken + left] + passage
        taken += left + len(instead)
    return bytes(whole + value[taken:])
