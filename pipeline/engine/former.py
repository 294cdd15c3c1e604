"""What a unit of work reads of its own last output, when it goes on from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.engine.stage import Work
from pipeline.engine.tables import conform, read_batches


def is_same(work: Work, output: str) -> bool:
    """Tell whether an output that a unit reads is what it was when the unit was done last."""
    return work.former is not None and output in work.former.same


class FormerRows:
    """The rows of a file that was written last, by their first column, taken from the top on.

    What lies between the keys that are asked for is not held, however much it is.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._batches: Iterator[pa.RecordBatch] = read_batches(path, schema.names)
        self._held = [conform(schema.empty_table(), schema)]
        self._schema = schema
        self._ended = False

    def between(self, first: int, last: int) -> pa.Table:
        """Return the rows of the keys from `first` to `last`.

        Args:
            first: a key, not below the last one of the call before, whose rows can come again.
            last: a key, not below the first.
        """
        while not self._ended and _last(self._held[-1]) <= last:
            batch = next(self._batches, None)
            self._ended = batch is None
            if batch is not None and batch.num_rows:
                if _last(self._held[-1]) < first:
                    self._held.clear()
                self._held.append(conform(batch, self._schema))
        table = pa.concat_tables(self._held)
        keys = table.column(0).to_numpy()
        begin = int(np.searchsorted(keys, np.uint64(first)))
        end = int(np.searchsorted(keys, np.uint64(last), side="right"))
        self._held = [table.slice(int(np.searchsorted(keys, np.uint64(last))))]
        return table.slice(begin, end - begin)


def _last(table: pa.Table) -> int:
    return int(table.column(0)[-1].as_py()) if table.num_rows else -1
