"""A training of ten steps, and an end of the process in it, for the tests of marks and of kills."""

import numpy as np

from pipeline.score.proxy.model import Shape
from pipeline.score.proxy.train import Schedule

SHAPE = Shape(300, 2, 32)
SCHEDULE = Schedule(epochs=2, rows=8, rate=0.003, seed=3)
STEPS = 10


class Killed(Exception):
    """Stands for the end of the process."""


def tiny_rows():
    """Return 40 rows of EOS and 64 tokens: five steps an epoch."""
    tokens = np.random.Generator(np.random.PCG64(2)).integers(1, 300, (40, 64))
    return np.concatenate((np.zeros((40, 1), np.int64), tokens), axis=1)
