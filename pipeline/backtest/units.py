"""Units: families that hold the same text, which folds and the bootstrap take as one.

The families of a scan join near copies and documents that share a repeated window. That leaves text
on both sides of a fold in three ways: a window that more documents share than are linked, one that
is shorter than a window of the scan, and a plant whose passage occurs in a family as well. So
families that share a run of tokens are joined once more.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.text.arrays import Int64, Uint64

RUN = 32  # tokens, as long as a suffix
LEAST_DISTINCT = 8  # tokens in a run; rules and blanks are no shared text
FACTOR = np.uint64(0x9E3779B97F4A7C15)
BLOCK = 1 << 15  # rows at a time
PARTS = 2  # of the units, each of which is left out of the teaching of some model


def units_of(family: Int64, rows: Int64) -> Int64:
    """Return the unit of each family, (families,): the least number of those it is joined with.

    Args:
        family: number of the family of each row, (rows,).
        rows: EOS and the tokens of each row, (rows, 65).
    """
    count = int(family.max(initial=-1)) + 1
    first, second = _joined(family, rows[:, 1:])
    links = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    _, label = connected_components(links, directed=False)
    least = np.full(count, count)
    np.minimum.at(least, label, np.arange(count))
    return np.asarray(least[label], np.int64)


def _joined(family: Int64, tokens: Int64) -> tuple[Int64, Int64]:
    """Return pairs of families that share a run, (pairs,) each."""
    runs = tokens.shape[1] - RUN + 1
    key = np.concatenate(
        [np.zeros(0, np.uint64)]
        + [_keys(tokens[at : at + BLOCK]).ravel() for at in range(0, len(tokens), BLOCK)]
    )
    order = np.argsort(key, kind="stable")
    owner = family[order // max(1, runs)]
    same = (key[order][1:] == key[order][:-1]) & (owner[1:] != owner[:-1])
    places = np.flatnonzero(same)
    row, start = np.divmod(order[places], max(1, runs))
    own = np.sort(tokens[row[:, None], start[:, None] + np.arange(RUN)], axis=1)
    telling = 1 + (np.diff(own, axis=1) != 0).sum(axis=1) >= LEAST_DISTINCT
    places = places[telling]
    return owner[places], owner[places + 1]


def _keys(tokens: Int64) -> Uint64:
    """Return a hash of each run of RUN tokens, (rows, runs)."""
    runs = max(0, tokens.shape[1] - RUN + 1)
    key = np.zeros((len(tokens), runs), np.uint64)
    for place in range(RUN if runs else 0):
        key = key * FACTOR + tokens[:, place : place + runs].astype(np.uint64) + np.uint64(1)
        key ^= key >> np.uint64(29)
    return key


def parts_of(unit: Int64) -> Int64:
    """Return the part of the units that each row is in, (rows,): the largest are dealt first.

    Args:
        unit: of each row, (rows,).
    """
    found, own, rows = np.unique(unit, return_inverse=True, return_counts=True)
    total, part = [0] * PARTS, np.zeros(len(found), np.int64)
    for place in np.lexsort((found, -rows)).tolist():
        part[place] = least = total.index(min(total))
        total[least] += int(rows[place])
    return np.asarray(part[own])


def about_units(family: Int64, unit: Int64) -> dict[str, int]:
    """Return how many families were joined to how many units, for the facts of a result.

    Args:
        family: of each row, (rows,).
        unit: of each row, (rows,).
    """
    pairs = np.unique(np.column_stack((family, unit)), axis=0)
    size = np.bincount(pairs[:, 1]) if len(pairs) else np.zeros(0, np.int64)
    rows = np.bincount(unit) if len(unit) else np.zeros(0, np.int64)
    return {
        "families": len(pairs),
        "units": int((size > 0).sum()),
        "families_joined_by_shared_text": int(size[size > 1].sum()),
        "largest_unit_families": int(size.max(initial=0)),
        "largest_unit_sequences": int(rows.max(initial=0)),
    }
