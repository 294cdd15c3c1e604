"""The statistics of one proxy, taken out of the list column of `sequences`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.text.arrays import Float64


def proxy_statistics(table: pa.Table, proxy: str, names: Sequence[str]) -> dict[str, Float64]:
    """Return statistics of a proxy by name, (sequences,) each; NaN where it did not score one.

    Args:
        table: `sequences`, with its column `proxies`.
        proxy: name of the proxy.
        names: of the statistics.
    """
    column = table["proxies"].combine_chunks()
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    flat = column.flatten()
    of_proxy = pc.equal(flat.field("proxy"), proxy).to_numpy(zero_copy_only=False)
    row = pc.list_parent_indices(column).to_numpy()[of_proxy]
    found = {}
    for name in names:
        values = np.full(table.num_rows, np.nan)
        values[row] = flat.field(name).to_numpy(zero_copy_only=False)[of_proxy]
        found[name] = values
    return found
