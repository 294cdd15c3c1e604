"""How many bytes rows take once they are decoded, whatever their encoding says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.text.arrays import Int64


def row_sizes(batch: pa.RecordBatch) -> Int64:
    """Return about how many bytes each row takes when every value is written out, (rows,)."""
    sizes = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        sizes += _sizes(column)
    return sizes


def _sizes(values: pa.Array) -> Int64:
    """Return the bytes of each value; of nested ones their mean."""
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        return _sizes(values.storage)
    if pa.types.is_dictionary(kind):
        return _repeated(values.dictionary, values.indices.fill_null(0).to_numpy())
    if pa.types.is_run_end_encoded(kind):
        places = np.arange(values.offset, values.offset + len(values))
        ends = values.run_ends.to_numpy()
        return _repeated(values.values, np.searchsorted(ends, places, "right"))
    if (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    ):
        return np.asarray(pc.fill_null(pc.binary_length(values), 0).to_numpy(), np.int64)
    return np.full(len(values), values.nbytes // max(1, len(values)), np.int64)


def _repeated(values: pa.Array, places: np.ndarray) -> Int64:
    """Return the bytes of values that stand at some places."""
    if not len(values):
        return np.zeros(len(places), np.int64)
    return np.asarray(_sizes(values)[np.minimum(places, len(values) - 1)])


def cuts(sizes: Int64, most: int) -> list[tuple[int, int]]:
    """Return runs of rows (first, length) of about `most` bytes at most, or of one row."""
    before = np.cumsum(sizes) - sizes
    starts = [0]
    while True:
        first = starts[-1]
        last = int(np.searchsorted(before, before[first] + most)) if len(sizes) else 0
        if last >= len(sizes):
            break
        starts.append(max(last, first + 1))
    return [
        (first, last - first)
        for first, last in zip(starts, [*starts[1:], len(sizes)], strict=True)
        if last > first
    ]
