"""Which of several documents is the best: the one order by which keepers and hubs are chosen."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipeline.text.arrays import Float64, Int64

Keep = Literal["longest", "earliest"]
KEEPS: tuple[Keep, ...] = ("longest", "earliest")


def best_first(
    priority: tuple[Float64, Float64],
    text_bytes: Int64,
    path: Int64,
    row: Int64,
    keep: Keep,
    source: Int64 | None,
) -> Int64:
    """Return the rank of each document, 0 the best; of two copies that of better rank stays.

    Args:
        priority: of the user, the higher the better; NaN, the worst, where there is none; and what
            is missing to the value, by which equal doubles are told apart.
        text_bytes: length of the text; not looked at with `keep` = earliest.
        path: place of the shard's path among all paths.
        row: in the shard.
        keep: whether the longest or the earliest stays where priority and source leave it open.
        source: place of the source in `near.sources`, or None; it comes after the priority.
    """
    keys: list[Int64 | Float64] = [row, path]  # least significant first
    if keep == "longest":
        keys.append(-text_bytes)
    if source is not None:
        keys.append(source)
    nearest, rest = priority
    if not np.isnan(nearest).all():
        keys += [-rest, -nearest]  # NaN is sorted last
    order = np.lexsort(keys)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank
