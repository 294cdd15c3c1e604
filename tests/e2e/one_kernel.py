"""Calls one kernel, for a process that others are forked from.

The first kernel that a process loads makes Numba ready for any, which takes a quarter of a second;
the forks then have that behind them. It starts no thread, so it is safe to fork afterwards.
"""

import numpy as np

from pipeline.text.sorting import order_of

order_of(np.zeros(1, np.uint64), 0)
