"""The file to mix in: each canary in as many rows as its dose says, in an order by chance.

Rows and no counts: every training reads rows, none reads a column that says how often.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.canaries.key import Canary
from pipeline.config.sections import InputConfig
from pipeline.corpus import Shard
from pipeline.corpus.columns import CHAT_NAMES
from pipeline.corpus.readers import shard_columns
from pipeline.report.data.alarms import CANARIES  # so that a report knows them

TEXT, ID = "text", "id"
PARQUET, JSONL = "canaries.parquet", "canaries.jsonl"
_ROWS = 64
_SHARDS = 20  # whose columns are looked at


def column_names(shards: Sequence[Shard], config: InputConfig) -> tuple[str, str]:
    """Return the names of the columns for id and text: the corpus's own where it has plain ones."""
    if not shards:
        return ID, TEXT
    found = {_own_names(shard, config) for shard in shards[:_SHARDS]}
    return found.pop() if len(found) == 1 else (ID, TEXT)


def _own_names(shard: Shard, config: InputConfig) -> tuple[str, str]:
    """Return the names of the columns for id and text of one file."""
    if shard.format in ("text", "tokens"):
        return ID, TEXT
    columns = shard_columns(shard, config)
    plain = len(columns.text) == 1 and "." not in columns.text[0]
    text = columns.text[0] if plain and columns.text[0] not in CHAT_NAMES else TEXT
    name = columns.id if columns.id and "." not in columns.id else ID
    return (name if name != text else ID), text


def mixed(canaries: Sequence[Canary], seed: int) -> tuple[list[str], list[str]]:
    """Return the ids and the texts of all rows; no two rows have one id."""
    rows = [
        (f"{CANARIES}{one.id}-{turn}", one.text)
        for one in canaries
        if one.inside
        for turn in range(one.dose)
    ]
    order = np.random.Generator(np.random.PCG64([seed, _ROWS])).permutation(len(rows)).tolist()
    return [rows[place][0] for place in order], [rows[place][1] for place in order]


def file_bytes(
    rows: tuple[list[str], list[str]], names: tuple[str, str], *, as_lines: bool
) -> bytes:
    """Return the bytes of the file to mix in.

    Args:
        rows: ids and texts.
        names: of their columns.
        as_lines: JSON Lines, else Parquet.
    """
    if as_lines:
        lines = (
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)
            for row in zip(*rows, strict=True)
        )
        return "".join(f"{line}\n" for line in lines).encode()
    sink = pa.BufferOutputStream()
    columns = [pa.array(values, pa.string()) for values in rows]
    pq.write_table(pa.table(columns, list(names)), sink, compression="zstd")
    return bytes(sink.getvalue())
