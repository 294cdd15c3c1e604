"""The time of a score, told before it: training and scoring of every proxy, on so many cores."""

import numpy as np
import pytest

from pipeline.config.load import load_config
from pipeline.score.proxy import cost
from pipeline.score.proxy.cost import FITTED, expected_seconds, seconds_of_proxies
from pipeline.score.proxy.model import Shape

SHAPES = "proxy.shapes=[[1,32],[2,32],[3,64]]"


@pytest.fixture
def trials(monkeypatch):
    """Let a step take a second and an answer a hundredth; return what was tried."""
    tried = []

    def trial(shape, rows, _, config):
        tried.append((shape, len(rows), config.batch))
        return 1.0, 0.01

    monkeypatch.setattr(cost, "_trial", trial)
    return tried


def test_every_training_and_every_answer_is_in_the_time(trials):
    """Three sizes of 10 steps and two halves of 5, each asked for 100 sequences."""
    config = load_config(settings=[SHAPES, "proxy.batch=4"]).proxy
    rows, half = np.zeros((40, 65), np.int64), np.arange(40) % 2
    alone = seconds_of_proxies(rows, half, 300, config, 1, 100)
    assert alone == pytest.approx(3 * (10 + 1) + 2 * (5 + 1))
    assert seconds_of_proxies(rows, half, 300, config, 3, 100) == pytest.approx(alone / 3)
    assert seconds_of_proxies(rows, half, 300, config, 99, 100) == pytest.approx(11)
    once = [(Shape(300, 1, 32), 4, 4), (Shape(300, 2, 32), 4, 4), (Shape(300, 3, 64), 4, 4)]
    assert len(trials) == 9
    assert {*trials[:3]} == {*once}  # each size once, not for each training


@pytest.mark.usefixtures("trials")
def test_what_a_score_will_cost_is_known_from_the_bytes_of_the_corpus():
    """A sample of 640,000 tokens is 10,000 rows, plants as many as 2,200; two halves are one."""
    config = load_config(settings=[SHAPES, "proxy.batch=1", "proxy.sample_tokens=640000"]).proxy
    told = expected_seconds(10**9, config, 500, 1)
    assert told == pytest.approx(4 * 12_200 + 5 * 5 + FITTED, rel=1e-3)
    assert expected_seconds(10**9, config, 500, 2) < 0.6 * told
    assert expected_seconds(10**5, config, 500, 1) < 0.05 * told
    assert expected_seconds(0, config, 500, 1) == FITTED


@pytest.mark.parametrize(("short", "epochs"), [(1e9, [1]), (0.0, [1, 3])], ids=["short", "long"])
def test_a_trial_is_of_this_machine_and_no_longer_than_needed(monkeypatch, short, epochs):
    """One step where all are short by it; seconds of a step and of an answer, above nothing."""
    tried = []
    monkeypatch.setattr(cost, "SHORT_S", short)
    monkeypatch.setattr(cost, "train", lambda *args: tried.append(args[2].epochs))
    config = load_config(settings=[SHAPES]).proxy
    step, answer = cost._trial(Shape(300, 1, 32), np.ones((4, 65), np.int64), 10, config)
    assert tried == epochs
    assert step > 0
    assert answer > 0
