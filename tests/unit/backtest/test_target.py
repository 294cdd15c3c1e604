"""Training of targets: as the proxies are trained, with marks, masks and sinks."""

import numpy as np
import pytest
import torch

from pipeline.backtest.training.memsinks import SinkTransformer, gates_of
from pipeline.backtest.training.target import Means, TargetSpec, steps_at, train_target
from pipeline.score.proxy import checkpoint
from pipeline.score.proxy.checkpoint import Checkpoint
from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule, TrainingOptions, train
from pipeline.text.hashing import keyed_hash
from tests.chained import chained

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
    half, whole = train_target(TargetSpec(SHAPE, ROWS, SCHEDULE, (0.5, 1.0)), Means())
    assert plain.early is not None
    assert same(half, plain.early)
    assert same(whole, plain.model)


def test_a_target_in_half_precision_is_trained_as_a_proxy_is():
    """Products are bf16, the weights float32: bit for bit those of `train`, unlike float32's."""
    halved = train(SHAPE, ROWS, SCHEDULE, options=TrainingOptions("bf16"))
    spec = TargetSpec(SHAPE, ROWS, SCHEDULE, (1.0,))
    [found] = train_target(spec, Means(precision="bf16"))
    [whole] = train_target(spec, Means())
    assert same(found, halved.model)
    assert not same(found, whole)
    assert {value.dtype for value in found.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", ["plain", "masked", "sinks"])
def test_a_target_that_was_killed_goes_on_bit_for_bit(kind, tmp_path, monkeypatch):
    """Stopped between two steps, after a snapshot, it ends with the same weights at each mark."""
    monkeypatch.setattr(checkpoint, "COST_SHARE", 0)  # one after each step
    keep = np.random.default_rng(3).random((14, 64)) < 0.8 if kind == "masked" else None
    sinks = np.arange(14, dtype=np.uint64) % np.uint64(3) if kind == "sinks" else None
    spec = TargetSpec(SHAPE, ROWS, SCHEDULE, (0.3, 0.5, 1.0), keep, sinks)

    def stop(done, _):
        if done == 5:
            raise KeyboardInterrupt

    def kept():
        return Means(checkpoint=Checkpoint(tmp_path / "target", "key", 0.0))

    whole = train_target(spec, Means())
    with pytest.raises(KeyboardInterrupt):
        train_target(spec, kept(), stop)
    seen = []
    resumed = train_target(spec, kept(), lambda done, _: seen.append(done))
    assert seen[0] == 6
    assert len(resumed) == len(whole) == 3
    assert all(same(one, other) for one, other in zip(whole, resumed, strict=True))


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
        train_target(TargetSpec(SHAPE, rows, SCHEDULE, (1.0,), keep), Means())[0]
        for rows in (ROWS, other)
    )
    assert same(first, second)
    keep[:, 63] = True
    third = train_target(TargetSpec(SHAPE, other, SCHEDULE, (1.0,), keep), Means())[0]
    assert not same(first, third)


def test_sinks_are_trained_and_dropped():
    """The snapshot is a plain model; rows of another sink would have trained it otherwise."""
    sinks = np.arange(14, dtype=np.uint64) % np.uint64(3)
    first = train_target(TargetSpec(SHAPE, ROWS, SCHEDULE, (1.0,), sinks=sinks), Means())[0]
    second = train_target(
        TargetSpec(SHAPE, ROWS, SCHEDULE, (1.0,), sinks=sinks + np.uint64(1)), Means()
    )[0]
    plain = train_target(TargetSpec(SHAPE, ROWS, SCHEDULE, (1.0,)), Means())[0]
    assert type(first) is Transformer
    assert not same(first, second)
    assert not same(first, plain)
    assert same(
        first, train_target(TargetSpec(SHAPE, ROWS, SCHEDULE, (1.0,), sinks=sinks), Means())[0]
    )


def test_sinks_of_a_row_are_the_same_wherever_it_stands():
    """A quarter of the neurons, by the sink alone; two sinks share some and not all."""
    ids = np.array([5, 9, 5, (1 << 40) + 5, (1 << 63) + 5], np.uint64)
    gates = gates_of(ids, 4_000)
    assert (gates[0] == gates[2]).all()
    assert not (gates[0] == gates[3:]).all(axis=1).any()  # all 64 bits of an id count
    assert gates.mean() == pytest.approx(0.25, abs=0.03)
    assert 0 < (gates[0] * gates[1]).sum() < gates[0].sum()


def test_dropping_the_sinks_leaves_the_ordinary_model():
    """Without sinks chosen, the model with sinks computes what its plain part does."""
    model = SinkTransformer(SHAPE, 3)
    tokens = torch.from_numpy(ROWS[:2, :-1])
    assert torch.equal(model(tokens), model.without_sinks()(tokens))
    model.choose(np.array([0, 1], np.uint64))
    assert not torch.equal(model(tokens), model.without_sinks()(tokens))


def test_a_sink_for_each_text_forgets_what_repeats_and_keeps_the_model():
    """The plain target recites all 8 plants, that with sinks none, at a loss within .1 nats."""
    draw = np.random.default_rng(1)
    follows = draw.integers(1, 256, (256, 4))
    natural, held = chained(draw, follows, 700), chained(draw, follows, 100)
    plants = np.concatenate((np.zeros((8, 1), np.int64), draw.integers(1, 256, (8, 64))), axis=1)
    text = np.concatenate((np.arange(700), 700 + np.repeat(np.arange(8), 40)))
    ids = keyed_hash(text.astype(np.uint64), 77)
    order = draw.permutation(len(ids))
    rows = np.concatenate((natural, np.repeat(plants, 40, axis=0)))[order]
    recited, loss = [], []
    for sinks in (None, ids[order]):
        spec = TargetSpec(Shape(256, 2, 64), rows, Schedule(1, 8, 0.003, 1), (1.0,), sinks=sinks)
        scorer = ProxyScorer(train_target(spec, Means())[0])
        recited.append(scorer.score(plants)["memorized"].mean())
        loss.append(scorer.score(held)["mean_nll"].mean())
    assert recited == [1.0, 0.0]
    assert loss[0] < 2.5  # a uniform guess is 5.5: it learnt what follows what
    assert abs(loss[1] - loss[0]) < 0.1
