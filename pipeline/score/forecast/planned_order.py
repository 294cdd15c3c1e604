"""When a target sees a text, for a planned order: how long before the end, and how far apart.

Text that was seen long ago is recalled less: docs/signals.md has what was measured. The forecast is
of text in a random order, so these two columns stand beside it and do not enter it. Places are
shares of an epoch by bytes of text; exact copies are what a text is seen as, near ones are not.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.text.arrays import Float64, Int64, Uint64

ORDERED = ["row_key", "representative", "text_bytes", "shard", "row"]


def planned_order(counts: pa.Table) -> tuple[Float64, Float64]:
    """Return last_exposure and spacing of each document's text, (documents,) each.

    The files are read in the order of their names, each row as it stands. `last_exposure` is the
    share of the epoch that comes after the end of the last copy; `spacing` the mean distance
    between the ends of one copy and the next, NaN for a text that occurs once.

    Args:
        counts: ORDERED of every document.
    """
    shard = np.unique(counts["shard"].to_numpy(zero_copy_only=False), return_inverse=True)[1]
    order = np.lexsort((counts["row"].to_numpy(), shard))
    end = np.empty(len(order), np.float64)
    end[order] = np.cumsum(counts["text_bytes"].to_numpy()[order])
    return spaced(end / max(1.0, float(end.max(initial=0))), counts["representative"].to_numpy())


def spaced(end: Float64, text: Uint64 | Int64) -> tuple[Float64, Float64]:
    """Return last_exposure and spacing of each document's text, (documents,) each.

    Args:
        end: where each document ends, as a share of the epoch, (documents,).
        text: which text each is, (documents,).
    """
    _, number, copies = np.unique(text, return_inverse=True, return_counts=True)
    first, last = np.full(len(copies), np.inf), np.zeros(len(copies))
    np.minimum.at(first, number, end)
    np.maximum.at(last, number, end)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.where(copies > 1, (last - first) / (copies - 1), np.nan)
    return (1.0 - last)[number], apart[number]
