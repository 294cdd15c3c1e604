"""Training of targets: as the proxies are trained, with marks, masks and sinks."""

import numpy as np
import pytest
import torch

from pipeline.backtest.arms.goldfish import kept
from pipeline.backtest.training.memsinks import SinkTransformer, gates_of
from pipeline.backtest.training.target import TargetSpec, steps_at, train_target
from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.train import Schedule, train

SHAPE = Shape(64, 1, 32)
SCHEDULE = Schedule(2, 4, 0.003, 5)
ROWS = np.random.default_rng(2).integers(1, 64, (14, 65))


@pytest.fixture(autouse=True)
def _one_thread():
    with torch_threads(1):
        yield


def same(one, other):
    """Say whether two models have the same weights, bit for bit."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


def test_a_target_is_trained_as_a_proxy_is():
    """Without mask and sinks the weights are bit for bit those of `train`, at any mark."""
    plain = train(SHAPE, ROWS, SCHEDULE)
    half, whole = train_target(TargetSpec(SHAPE, ROWS, SCHEDULE, (0.5, 1.0)), "cpu")
    assert plain.early is not None
    assert same(half, plain.early)
    assert same(whole, plain.model)


def test_marks_are_shares_of_the_steps():
    """0.15 of 100 steps is the 15th; a mark is at least the first step and at most the last."""
    assert steps_at((0.0, 0.15, 1.0), 100) == [1, 15, 100]


def test_a_token_left_out_of_the_loss_teaches_nothing():
    """Changing a masked target as last token changes no weight; changing a kept one does."""
    keep = np.ones((14, 64), np.bool_)
    keep[:, 63] = False
    other = ROWS.copy()
    other[:, 64] = (other[:, 64] + 7) % 64
    first, second = (
        train_target(TargetSpec(SHAPE, rows, SCHEDULE, (1.0,), keep), "cpu")[0]
        for rows in (ROWS, other)
    )
    assert same(first, second)
    keep[:, 63] = True
    third = train_target(TargetSpec(SHAPE, other, SCHEDULE, (1.0,), keep), "cpu")[0]
    assert not same(first, third)


def test_sinks_are_trained_and_dropped():
    """The snapshot is a plain model; rows of another sink would have trained it otherwise."""
    sinks = np.arange(14, dtype=np.int64) % 3
    first = train_target(TargetSpec(SHAPE, ROWS, SCHEDULE, (1.0,), sinks=sinks), "cpu")[0]
    second = train_target(TargetSpec(SHAPE, ROWS, SCHEDULE, (1.0,), sinks=sinks + 1), "cpu")[0]
    plain = train_target(TargetSpec(SHAPE, ROWS, SCHEDULE, (1.0,)), "cpu")[0]
    assert type(first) is Transformer
    assert not same(first, second)
    assert not same(first, plain)
    assert same(
        first, train_target(TargetSpec(SHAPE, ROWS, SCHEDULE, (1.0,), sinks=sinks), "cpu")[0]
    )


def test_sinks_of_a_row_are_the_same_wherever_it_stands():
    """A quarter of the neurons, by the sink alone; two sinks share some and not all."""
    gates = gates_of(np.array([5, 9, 5]), 4_000)
    assert (gates[0] == gates[2]).all()
    assert gates.mean() == pytest.approx(0.25, abs=0.03)
    assert 0 < (gates[0] * gates[1]).sum() < gates[0].sum()


def test_dropping_the_sinks_leaves_the_ordinary_model():
    """Without sinks chosen, the model with sinks computes what its plain part does."""
    model = SinkTransformer(SHAPE, 3)
    tokens = torch.from_numpy(ROWS[:2, :-1])
    assert torch.equal(model(tokens), model.without_sinks()(tokens))
    model.choose(torch.tensor([0, 1]))
    assert not torch.equal(model(tokens), model.without_sinks()(tokens))


def test_goldfish_leaves_out_one_token_in_k():
    """The share left out is 1/k, apart from the first tokens, which always stay."""
    rows = np.random.default_rng(0).integers(0, 2_000, (400, 65))
    keep = kept(rows, 4, 13)
    assert keep[:, :12].all()
    assert (~keep[:, 12:]).mean() == pytest.approx(0.25, abs=0.02)


def test_goldfish_decides_by_the_context_and_its_order():
    """The same 13 tokens before a token give the same decision anywhere; their order matters."""
    context = np.random.default_rng(7).integers(1, 50, (300, 13))
    one = np.concatenate((np.ones((300, 3), np.int64), context, np.full((300, 1), 9)), axis=1)
    two = np.concatenate((np.full((300, 5), 8), context, np.full((300, 1), 4)), axis=1)
    first, second = kept(one, 4, 13)[:, -1], kept(two, 4, 13)[:, -1]
    assert (first == second).all()
    turned = kept(np.concatenate((two[:, :5], context[:, ::-1], two[:, -1:]), axis=1), 4, 13)[:, -1]
    assert (turned != second).any()


def test_goldfish_hash_holds_for_tokens_nought_and_one():
    """Contexts of the lowest token numbers are not all treated alike, as by a product of them."""
    contexts = np.random.default_rng(1).integers(0, 2, (500, 14))
    found = kept(contexts, 4, 13)[:, -1].mean()
    assert found == pytest.approx(0.75, abs=0.08)
