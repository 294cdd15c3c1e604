"""What a back-test takes from a scored run, and which runs it refuses."""

import numpy as np
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.backtest.subject import read_subject
from pipeline.backtest.training.trainings import order_of, targets_of
from pipeline.config.load import load_config
from pipeline.errors import ConfigError
from pipeline.score.proxy.model import Shape
from tests.unit.backtest.tiny import SCORED


def test_rows_are_those_that_the_proxies_were_taught(subject):
    """Sample and plants, as many tokens as the largest proxy saw, and as often as it did."""
    assert subject.rows[:, 1:].size == subject.panel.top.tokens
    texts, times = np.unique(subject.rows, axis=0, return_counts=True)
    known = {row.tobytes(): int(count) for row, count in zip(texts, times, strict=True)}
    planted = subject.panel.planted
    taught = [known.get(row.tobytes(), 0) for row in subject.panel_rows[planted]]
    inside = subject.panel.top.dose[planted]
    assert (np.array(taught) >= inside).all()
    assert (np.array(taught)[inside > 0] > 0).all()
    assert len(subject.panel_rows) == len(subject.kind) == len(subject.unit)


def test_targets_have_an_order_and_weights_of_their_own(subject):
    """The same rows, each as often, shuffled by the seed."""
    first, second = targets_of(subject, [Shape(subject.vocabulary, 2, 64)], [2, 3])
    assert (first.seed, second.seed) == (2, 3)
    assert not np.array_equal(first.rows, second.rows)
    assert np.array_equal(np.sort(first.rows, axis=0), np.sort(subject.rows, axis=0))
    assert sorted(order_of(9, 2).tolist()) == list(range(9))


def test_a_run_that_is_not_scored_is_refused_with_the_command(scored):
    """Of other settings of the proxies, the score is not current."""
    other = load_config(settings=["limits.workers=1", *SCORED, "proxy.seed=2"])
    with pytest.raises(ConfigError, match="its score is not finished") as caught:
        read_subject(scored, other)
    assert "not current: sequences" in str(caught.value)
    assert f"rote score {scored}" in str(caught.value)


def test_a_run_without_a_forecast_is_refused_before_a_target_is_trained(tmp_path, config):
    """There is nothing to hold against a target; the error says why, and what would help."""
    (tmp_path / "corpus").mkdir()
    lines = [f'{{"text": "a line of {number} words"}}' for number in range(300)]
    (tmp_path / "corpus" / "short.jsonl").write_text("\n".join(lines) + "\n")
    places = [str(tmp_path / "corpus")]
    with run.session(tmp_path / "run", config, LocalMapper(1), corpus=places) as session:
        run.scan(session)
        run.score(session)
    with pytest.raises(ConfigError, match="no forecast to back-test") as caught:
        read_subject(tmp_path / "run", config)
    assert "has a text of 64 tokens" in str(caught.value)
    assert "more documents of at least 64 tokens" in str(caught.value)
