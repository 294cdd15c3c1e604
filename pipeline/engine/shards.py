"""Shards of a run: which are in the corpus now, the keys of their rows, the files of their output.

A row's key is shard number << 40 | row. It is a name and never a rank: a shard keeps its number as
long as the run folder lives. Only this module, `sql/scan/counts.sql` and `sql/report/shards.sql`
know how a key is made.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import PurePosixPath
from typing import Any, TypeVar

import numpy as np

from pipeline.corpus import Shard
from pipeline.corpus.files import CODECS
from pipeline.text.arrays import Uint64

ROW_BITS = 40  # of a key, the lower ones; the shard number is above them
_ROWS = (1 << ROW_BITS) - 1
Keys = TypeVar("Keys", int, Uint64)  # one key, or an array of them


def output_names(shards: list[Shard]) -> dict[int, str]:
    """Return the file of each shard below kept/, without .parquet, by shard number.

    That is its own path less the suffix, and the whole path on a clash. A whole path may clash with
    another's short one (x.jsonl, x.csv and x.jsonl.parquet), so this goes on until none does.
    """
    names = {shard.number: _without_suffix(shard.name) for shard in shards}
    while len(set(names.values())) < len(names):
        taken = Counter(names.values())
        clashing = [shard for shard in shards if taken[names[shard.number]] > 1]
        names.update({shard.number: shard.name for shard in clashing})
    return names


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    if path.suffix.lower() in CODECS:
        path = path.with_suffix("")
    return path.with_suffix("").as_posix()


def row_keys(shard: int, rows: np.ndarray) -> Uint64:
    """Return the keys of rows of a shard, (rows,): shard number << 40 | row."""
    return (np.uint64(shard) << np.uint64(ROW_BITS)) | rows.astype(np.uint64)


def shard_of(row_key: Keys) -> Keys:
    """Return the number of the shard that a row is in, for one key or an array of them."""
    if isinstance(row_key, int):
        return row_key >> ROW_BITS
    return row_key >> np.uint64(ROW_BITS)


def row_of(row_key: Keys) -> Keys:
    """Return the row's place in its shard, from 0 on, for one key or an array of them."""
    if isinstance(row_key, int):
        return row_key & _ROWS
    return row_key & np.uint64(_ROWS)


def key_range(shard: int) -> tuple[int, int]:
    """Return the smallest and the largest key that a row of a shard can have."""
    return shard << ROW_BITS, shard << ROW_BITS | _ROWS


def active_shards(manifest: dict[str, Any]) -> list[Shard]:
    """Return the shards that are in the corpus now, by number."""
    names = [field.name for field in dataclasses.fields(Shard)]
    return [
        Shard(**{name: entry[name] for name in names if name in entry})
        for entry in manifest["corpus"]["shards"]
        if entry["active"]
    ]
