"""Half precision, held against float32."""

import numpy as np
import pytest
import torch

from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.precision import deterministic, precision_of
from pipeline.score.proxy.statistics import DOUBTFUL, ProxyScorer
from pipeline.score.proxy.train import Schedule, TrainingOptions, train

SHAPE = Shape(300, 2, 32)
SCHEDULE = Schedule(2, 16, 0.004, 5)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Hold Torch at one thread, as a run does."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def lesson():
    """Return 96 rows of EOS and 64 random tokens."""
    tokens = np.random.Generator(np.random.PCG64(8)).integers(1, 300, (96, 64))
    return np.concatenate((np.zeros((96, 1), np.int64), tokens), axis=1)


@pytest.fixture(scope="module")
def model():
    """Return a proxy that was not trained, whose leads are of all sizes."""
    model = Transformer(Shape(300, 2, 64), 3).eval()
    with torch.no_grad():
        model.embedding.mul_(30.0)
        for part in model.parts:
            part.down.weight.mul_(3.0)
            part.out.weight.mul_(3.0)
    return model


@pytest.fixture(scope="module")
def rows(model, lesson):
    """Return rows that end as the model goes on; every other one with another token somewhere."""
    made = torch.from_numpy(lesson[:, :33])
    with torch.inference_mode():
        for _ in range(32):
            made = torch.cat(
                (made, model.head(model.hidden(made)[:, -1]).argmax(-1, keepdim=True)), 1
            )
    rows = made.numpy().copy()
    odd = np.arange(1, len(rows), 2)
    rows[odd, 33 + odd % 32] = 1 + rows[odd, 33 + odd % 32] % 299
    return rows


@pytest.fixture(scope="module")
def exact(model, rows):
    """Return the statistics in float32."""
    return ProxyScorer(model).score(rows)


def test_labels_after_relabelling_are_those_of_float32(model, rows, exact):
    """In bf16, with the doubtful rows scored again, every label is that of float32."""
    scorer = ProxyScorer(model, precision="bf16")
    found = scorer.score(rows)
    assert exact["memorized"].sum() == len(rows) / 2
    for name in ("memorized", "run_length"):
        assert found[name].tolist() == exact[name].tolist()
    assert 0.1 < scorer.relabelled / len(rows) < 0.9
    assert found["log_p_z"] == pytest.approx(exact["log_p_z"], rel=0.05, abs=0.5)


def test_without_relabelling_some_label_is_another(monkeypatch, model, rows, exact):
    """The rows that are scored again are worth it: bf16 alone runs elsewhere in some."""
    monkeypatch.setattr("pipeline.score.proxy.statistics.DOUBTFUL", 0.0)
    scorer = ProxyScorer(model, precision="bf16")
    assert (scorer.score(rows)["run_length"] != exact["run_length"]).any()
    assert scorer.relabelled == 0


def test_the_margin_of_doubt_is_at_least_that_of_the_design():
    """A lead or lag below 0.05 nats is doubtful in any case."""
    assert DOUBTFUL >= 0.05


def test_training_in_half_precision_learns_the_same(lesson):
    """In bf16 the loss falls as in float32; weights stay float32."""
    halved = train(SHAPE, lesson[:48], SCHEDULE, options=TrainingOptions("bf16"))
    full = train(SHAPE, lesson[:48], SCHEDULE)
    assert halved.loss == pytest.approx(full.loss, rel=0.05)
    assert {value.dtype for value in halved.model.parameters()} == {torch.float32}


def test_a_cpu_is_exact():
    """On a CPU everything is float32."""
    assert precision_of("cpu") == "fp32"


def test_deterministic_kernels_only_where_wanted():
    """The setting reaches Torch inside the block and is taken back after it."""
    before = torch.are_deterministic_algorithms_enabled()
    with deterministic(wanted=True):
        assert torch.are_deterministic_algorithms_enabled()
    with torch_threads(1, exact=True):
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.are_deterministic_algorithms_enabled() == before


@pytest.mark.gpu
def test_a_gpu_agrees_with_the_cpu(rows, lesson, model, exact):
    """Labels of a GPU in bf16 are those of a CPU; its training is repeatable when asked."""
    with deterministic(wanted=True):
        scorer = ProxyScorer(model.cuda(), "cuda", precision="bf16")
        agreed = scorer.score(rows)["memorized"] == exact["memorized"]
        one, two = (
            train(SHAPE, lesson, SCHEDULE, "cuda", options=TrainingOptions("bf16")) for _ in "ab"
        )
    model.cpu()
    assert agreed.mean() >= 0.99
    assert one.loss == two.loss
