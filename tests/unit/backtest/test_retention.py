"""A target that is trained on: recall goes within some updates, recognition stays."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.backtest.arms import retention
from pipeline.backtest.arms.retention import retention_rows
from pipeline.backtest.training.going_on import going_on
from pipeline.score.proxy.model import Shape
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule, train
from tests.chained import chained

SCHEDULE = Schedule(1, 8, 0.003, 1)


@pytest.fixture(scope="module")
def learnt():
    """Return a target, plants that it was taught 40 times, others that it was not, new text."""
    draw = np.random.default_rng(1)
    follows = draw.integers(1, 256, (256, 4))
    natural = chained(draw, follows, 700)
    plants = np.concatenate((np.zeros((24, 1), np.int64), draw.integers(1, 256, (24, 64))), axis=1)
    rows = np.concatenate((natural, np.repeat(plants[:8], 40, axis=0)))
    with torch_threads(1):
        model = train(Shape(256, 2, 64), rows[draw.permutation(len(rows))], SCHEDULE).model
    return model, plants, chained(draw, follows, 400)


def test_recall_goes_before_recognition(learnt):
    """After 50 updates on new text nothing is recited and all are told from those never taught."""
    model, plants, new = learnt
    before = [value.clone() for value in model.parameters()]

    def ask(own):
        found = ProxyScorer(own).score(plants)
        return found["memorized"], found["log_p_z"]

    with torch_threads(1):
        answers = going_on(model, new, SCHEDULE, (0, 50), ask)
        again = going_on(model, new, SCHEDULE, (0, 50), ask)
        plain = ask(model)
    recall = [memorized[:8].mean() for memorized, _ in answers]
    area = [(log_p[:8][:, None] > log_p[8:][None]).mean() for _, log_p in answers]
    assert recall[0] > 0.8
    assert recall[1] == 0.0
    assert area == [1.0, 1.0]
    assert np.array_equal(answers[0][1], plain[1])  # 0 updates: the target itself
    assert np.array_equal(answers[1][1], again[1][1])
    pairs = zip(model.parameters(), before, strict=True)
    assert all(torch.equal(value, was) for value, was in pairs)


def test_each_update_takes_the_next_rows(learnt):
    """Another row in the second batch changes what comes after it, not what is before."""
    model, plants, new = learnt
    other = new[:24].copy()
    other[9, 1:] = 1
    asked = [
        going_on(
            model, rows, SCHEDULE, (1, 2), lambda own: ProxyScorer(own).score(plants)["log_p_z"]
        )
        for rows in (new[:24], other)
    ]
    assert np.array_equal(asked[0][0], asked[1][0])
    assert not np.array_equal(asked[0][1], asked[1][1])


def test_recall_and_recognition_by_hand(monkeypatch):
    """Groups by kind and dose, areas against the never taught of the same kind, each moment."""
    monkeypatch.setattr(retention, "UPDATES", (0, 5))
    natural = np.array([True] * 8 + [False] * 8)
    dose = np.array([2, 3, 3, 2, 0, 0, 0, 0, 64, 64, 64, 64, 0, 0, 0, 0])
    panel = SimpleNamespace(natural=natural, planted=~natural, top=SimpleNamespace(dose=dose))
    subject = SimpleNamespace(panel=panel, unit=np.arange(16))
    memorized = np.array([1, 1, 0, 0] + [0] * 4 + [1] * 4 + [0] * 4 + [0, 0], bool)
    log_p = np.array([-1, -2, -3, -9, -4, -5, -6, -7, -1, -1, -1, -1, -2, -2, -2, -2, 0, 0.0])
    first = {"memorized": memorized, "log_p_z": log_p, "margin": log_p, "mean_nll": -log_p}
    later = {**first, "memorized": np.zeros(18, bool), "log_p_z": np.zeros(18)}
    scores = pa.table({name: np.concatenate((first[name], later[name])) for name in first})
    rows = retention_rows(subject, np.ones(16, bool), scores, 4)  # type: ignore[arg-type]
    told = [
        (
            row["updates"],
            row["rows"],
            row["taught"],
            row["sequences"],
            row["recall"],
            row["recognition"],
        )
        for row in rows
    ]
    assert told == [
        (0, "natural", 2, 4, 0.5, 0.75),
        (0, "plants", 64, 4, 1.0, 1.0),
        (5, "natural", 2, 4, 0.0, 0.5),
        (5, "plants", 64, 4, 0.0, 0.5),
    ]
    assert [row["tokens"] for row in rows] == [0, 0, 5 * 4 * 64, 5 * 4 * 64]
    assert rows[0]["recall_low"] < 0.5 < rows[0]["recall_high"]
    assert rows[0]["held_out_loss"] == 0.0
