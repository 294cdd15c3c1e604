"""The suffix after less of its prefix."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.score.proxy.ensemble import Proxy
from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.pool import WorkerPool
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.sequences.contexts import PER_LEVEL, PREFIXES, TrainedSequences, contexts
from schemas.score.contexts import CONTEXTS


@pytest.fixture(scope="module")
def proxy():
    """Return a proxy that was never trained."""
    model = Transformer(Shape(300, 2, 32), seed=1).eval()
    return Proxy("p0", "ladder", model, (0, 1), 1, 1, 0.0, "cpu")


def trained(rows, seed=1):
    """Return random sequences, each of dose 1 or 2."""
    draw = np.random.default_rng(seed)
    tokens = draw.integers(1, 300, (rows, 65))
    tokens[:, 0] = 0
    keys = np.arange(rows, dtype=np.uint64)
    dose = 2 ** draw.integers(0, 2, (rows, 1))
    family = pa.array([f"f{row}" for row in range(rows)])
    return TrainedSequences(keys, np.zeros(rows, np.int64), family, tokens, dose)


def rows_of(of, proxy):
    """Return the rows of `contexts`."""
    pool = WorkerPool(1, 1, lambda *_: None)
    return contexts(of, [proxy], pool).cast(CONTEXTS).to_pylist()


def test_a_shorter_prefix_is_its_last_tokens_after_eos(proxy):
    """The log probability is that of the suffix after EOS and the last tokens alone."""
    of = trained(6)
    for row in rows_of(of, proxy):
        own = of.tokens[row["row_key"]]
        given = np.concatenate(([0], own[33 - row["prefix_tokens"] :]))
        with torch.inference_mode():
            logits = proxy.model(torch.from_numpy(given[None, :-1]))
        of_true = torch.log_softmax(logits, -1)[0, np.arange(len(given) - 1), given[1:]]
        assert row["log_p_z"] == pytest.approx(float(of_true[-32:].sum()), rel=1e-4)


def test_the_whole_prefix_gives_what_the_sequence_was_scored_with(proxy):
    """At 32 tokens nothing is different from the table `sequences`."""
    of = trained(6)
    whole = ProxyScorer(proxy.model).score(of.tokens)
    last = [row for row in rows_of(of, proxy) if row["prefix_tokens"] == 32]
    assert [row["log_p_z"] for row in last] == whole["log_p_z"].tolist()
    assert [row["memorized"] for row in last] == whole["memorized"].tolist()


def test_the_panel_has_each_dose_and_no_order(proxy):
    """At most so many of each dose, the same sequences however the rows are ordered."""
    of = trained(400)
    found = rows_of(of, proxy)
    dose = {row["row_key"]: row["seen"] for row in found}
    assert len(found) == 2 * PER_LEVEL * len(PREFIXES)
    assert sorted(dose.values()) == [1] * PER_LEVEL + [2] * PER_LEVEL
    turned = TrainedSequences(of.row_key[::-1], of.start_token, of.family[::-1], of.tokens[::-1],
                     of.dose[::-1])  # fmt: skip
    assert {row["row_key"] for row in rows_of(turned, proxy)} == {*dose}


def test_what_no_proxy_was_trained_on_is_not_asked(proxy):
    """Without a trained sequence there is no row."""
    of = trained(6)
    none = TrainedSequences(of.row_key, of.start_token, of.family, of.tokens, of.dose * 0)
    assert rows_of(none, proxy) == []
