"""A test bed of known corruption: the cross-fit gap finds the texts that were spoilt."""

import numpy as np
import pytest

from pipeline.score.proxy.model import Shape
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule, train
from pipeline.score.signals.gap import gap_bits
from tests.chained import chained

TEXTS, SPOILT, TOKENS = 240, 24, 128


@pytest.fixture(scope="module")
def bed():
    """Return the texts, which are spoilt, and the half that each is in."""
    draw = np.random.default_rng(1)
    follows = np.tile(draw.integers(1, TOKENS, (TOKENS, 2)), 2)
    rows = chained(draw, follows, TEXTS)
    spoilt = np.isin(np.arange(TEXTS), draw.choice(TEXTS, SPOILT, replace=False))
    rows[spoilt, 33:] = draw.integers(1, TOKENS, (SPOILT, 32))
    return rows, spoilt, draw.permutation(TEXTS) % 2


def test_the_gap_finds_what_can_only_be_learnt_by_heart(bed):
    """Of 24 suffixes of noise among 216 that follow a rule, AUC .95; the rule has hardly a gap."""
    rows, spoilt, half = bed
    told = []
    with torch_threads(1):
        for number in (0, 1):
            own = rows[half == number]
            model = train(Shape(TOKENS, 2, 64), own, Schedule(6, 8, 0.004, 1)).model
            told.append(ProxyScorer(model).score(rows)["log_p_z"].astype(np.float64))
    gap = gap_bits(told[0], told[1], np.stack([half == 0, half == 1], axis=1).astype(np.int64))
    assert (gap[spoilt][:, None] > gap[~spoilt][None]).mean() > 0.95
    assert gap[spoilt].mean() > 10 * abs(gap[~spoilt].mean())
