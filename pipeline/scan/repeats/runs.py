"""Read the table `windows`: the runs of repeated windows of some documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.engine.tables import read_keys
from pipeline.text.arrays import Int64, Uint64
from schemas.scan.windows import WINDOWS


def runs_of(paths: Sequence[Path], keys: Uint64) -> Int64:
    """Return the runs of some documents, in text order, (runs, 5).

    Their columns are those of the table, with the place of the document among the keys.

    Args:
        paths: the files of the table.
        keys: row_key of each document, ascending.
    """
    if not len(keys):
        return np.zeros((0, 5), np.int64)
    parts = read_keys(paths, WINDOWS, WINDOWS.names, int(keys[0]), int(keys[-1]))
    return placed(pa.concat_tables([WINDOWS.empty_table(), *parts]), keys)


def placed(rows: pa.Table, keys: Uint64) -> Int64:
    """Return the runs of some documents among rows of the table; see `runs_of`."""
    own = rows["row_key"].to_numpy()
    places = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
    found = np.flatnonzero(keys[places] == own)
    columns = [rows[name].to_numpy()[found] for name in WINDOWS.names[1:]]
    return np.stack([places[found], *columns], axis=1)
