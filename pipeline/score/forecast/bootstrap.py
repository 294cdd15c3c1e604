"""The bootstrap over whole units, with which every interval here is made that is not Wilson's.

Sequences of one family share their text, so they are no independent observations: families (in the
back-test, units) are drawn with replacement, as many as there are, and all rows of one come
together (the cluster bootstrap of Davison and Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.text.arrays import Float64, Int64

NUMBERS_AT_ONCE = 1 << 22  # 32 MiB of weights


def times_drawn(
    units: int, draws: int, seed: int, at_once: int = NUMBERS_AT_ONCE, width: int = 0
) -> Iterator[Float64]:
    """Yield how often each unit is drawn, a block of draws at a time, (draws, units).

    The numbers follow from `units` and `seed` alone, so two statistics of the same units are
    compared on the same draws; the size of the blocks changes none of them.

    Args:
        units: how many there are, and how many are drawn.
        draws: how many times all are drawn.
        seed: of the random generator.
        at_once: numbers in a block at most; a block holds one draw at least.
        width: columns that a draw will be widened to, when that is more than `units`.
    """
    random = np.random.Generator(np.random.PCG64([seed, units]))
    size = max(1, at_once // max(1, units, width))
    chance = np.full(units, 1.0 / max(1, units))
    for start in range(0, draws, size):
        count = min(size, draws - start)
        # NumPy refuses a multinomial without categories
        drawn = random.multinomial(units, chance, count) if units else np.zeros((count, 0))
        yield drawn.astype(np.float64)


def row_weights(
    unit: Int64, draws: int, seed: int, at_once: int = NUMBERS_AT_ONCE
) -> Iterator[Float64]:
    """Yield how often each row is drawn with its unit, a block of draws at a time, (draws, rows).

    Args:
        unit: name of each row's unit, (rows,).
        draws: how many times all units are drawn.
        seed: of the random generator.
        at_once: numbers in a block at most; a block holds one draw at least.
    """
    names, place = np.unique(unit, return_inverse=True)
    for times in times_drawn(len(names), draws, seed, at_once, len(unit)):
        yield times[:, place]


def each_draw(unit: Int64, draws: int, seed: int) -> Iterator[Float64]:
    """Yield how often each row is drawn with its unit, one draw after the other, (rows,)."""
    for block in row_weights(unit, draws, seed):
        yield from block
