"""The course of a training: marks change no weight, survive a kill, and know what was taught."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.score.proxy import train as training
from pipeline.score.proxy.checkpoint import Checkpoint
from pipeline.score.proxy.model import to_safetensors
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Mark, Questions, Schedule, TrainingOptions, epoch_order
from pipeline.score.sequences.dynamics import Taught, dynamics_table, sudden_steps, taught
from pipeline.score.sequences.plants import Plants
from schemas.score.dynamics import DYNAMICS
from tests.unit.score.tiny_training import SCHEDULE, SHAPE, STEPS, Killed, tiny_rows


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Hold Torch at one thread, as a run does."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def rows():
    """Return 40 rows of EOS and 64 tokens: five steps an epoch."""
    return tiny_rows()


@pytest.fixture(scope="module")
def marked(rows):
    """Return a training that was asked after 3, 6 and 10 steps for five of its rows."""
    options = TrainingOptions(questions=Questions((3, 6, STEPS), rows[:5]))
    return training.train(SHAPE, rows, SCHEDULE, options=options)


def plants(copies, inside):
    """Return plants of one text a cluster, 64 tokens of its own number each."""
    size = len(copies)
    return Plants(
        np.repeat(np.arange(1, size + 1)[:, None], 65, axis=1),
        np.full(size, "exact", object),
        np.arange(size),
        np.zeros(size, np.int64),
        np.array(copies),
        np.array(inside),
        np.zeros(size, np.int64),
        np.ones(size),
    )


def test_a_model_that_is_asked_on_the_way_ends_with_the_same_weights(rows, marked):
    """And its last answer is the finished model's."""
    plain = training.train(SHAPE, rows, SCHEDULE)
    assert to_safetensors(plain.model) == to_safetensors(marked.model)
    assert plain.marks == ()
    assert [mark.steps for mark in marked.marks] == [3, 6, STEPS]
    last = ProxyScorer(marked.model).score(rows[:5])
    assert marked.marks[-1].log_p.tolist() == last["log_p_z"].tolist()
    assert marked.marks[0].log_p.tolist() != last["log_p_z"].tolist()


@pytest.mark.parametrize("steps", [2, 3, 7, STEPS])
def test_a_killed_training_has_the_same_marks(tmp_path, rows, marked, steps):
    """Stopped before, at and after one, it asks each once."""
    questions = Questions((3, 6, STEPS), rows[:5])

    def stop(done, _):
        if done >= steps:
            raise Killed

    kept = TrainingOptions(checkpoint=Checkpoint(tmp_path / "p", "key", 0.0), questions=questions)
    with pytest.raises(Killed):
        training.train(SHAPE, rows, SCHEDULE, "cpu", stop, kept)
    again = TrainingOptions(checkpoint=Checkpoint(tmp_path / "p", "key"), questions=questions)
    found = training.train(SHAPE, rows, SCHEDULE, options=again)
    assert to_safetensors(found.model) == to_safetensors(marked.model)
    assert [mark.steps for mark in found.marks] == [3, 6, STEPS]
    for one, other in zip(found.marks, marked.marks, strict=True):
        assert one.log_p.tolist() == other.log_p.tolist()
        assert one.memorized.tolist() == other.memorized.tolist()


def test_it_is_known_when_each_text_was_taught():
    """By the very batches of the training: the rows of a text, counted in its first steps."""
    planted = plants([1, 3, 2, 5], [True, True, False, True])
    found = taught(planted, 20, SCHEDULE)
    rows = np.concatenate((np.zeros((20, 65), np.int64), planted.rows()[0]))
    batches = [
        rows[epoch_order(len(rows), 3, epoch)][start : start + 8]
        for epoch in range(2)
        for start in range(0, len(rows), 8)
    ]
    for steps in range(len(batches) + 1):
        before = batches[:steps]
        times = [sum((b[:, 0] == text).sum() for b in before) for text in (1, 2, 3, 4)]
        assert found.times(steps).tolist() == times
        ago = [
            next((n for n, b in enumerate(reversed(before), 1) if (b[:, 0] == text).any()), 0)
            for text in (1, 2, 3, 4)
        ]
        assert found.since(steps).tolist() == ago
    assert found.times(len(batches)).tolist() == [2, 6, 0, 10]


def test_recall_and_recognition_are_told_by_dose_and_by_steps_since():
    """Literal rows: two texts taught once, of which one is recited; two never taught."""
    planted = plants([1, 1, 1, 1], [True, True, False, False])
    schedule = Schedule(1, 1, 0.1, 1)
    when = taught(planted, 0, schedule)
    assert sorted(when.step.tolist()) == [0, 1]
    said = np.zeros(4, np.float32)
    first, second = when.text[np.argsort(when.step)].tolist()
    said[[first, second]] = (-1.0, -9.0)
    said[2:] = (-5.0, -10.0)
    memorized = np.zeros(4, np.bool_)
    memorized[first] = True
    marks = (Mark(1, said, memorized), Mark(2, said, memorized))
    table = dynamics_table(planted, 0, [_Marked(marks)], schedule)  # type: ignore[list-item] # all that is asked of a proxy
    names = ("steps", "taught", "steps_since", "texts", "memorized", "auc")
    rows = list(zip(*(table[name].to_pylist() for name in names), strict=True))
    assert rows == [
        (1, 0, None, 2, 0, None),
        (1, 1, None, 1, 1, 1.0),
        (1, 1, 1, 1, 1, 1.0),
        (2, 0, None, 2, 0, None),
        (2, 1, None, 2, 1, 0.75),
        (2, 1, 1, 1, 0, 0.5),
        (2, 1, 2, 1, 1, 1.0),
    ]
    assert table["share_of_training"].to_pylist()[:1] == [0.5]
    assert table["high"].to_pylist()[:2] == [1.0, 1.0]  # three over two, and one of one
    assert table["low"].to_pylist()[1] == pytest.approx(0.2065, abs=1e-4)
    area = table.slice(4, 1).to_pylist()[0]
    # Hanley and McNeil with 2 against 2: q1 = .6, q2 = .642857
    spread = np.sqrt((0.1875 + (0.6 - 0.5625) + (0.6428571 - 0.5625)) / 4)
    assert area["auc_low"] == pytest.approx(0.75 - 1.959964 * spread, abs=1e-5)


def test_the_moment_of_sudden_confidence_is_that_of_the_largest_rise():
    """By hand: one text rises most before the 5th step, one before the 9th; both, the median."""
    never = np.zeros(2, np.bool_)
    said = ((-90.0, -90.0), (-20.0, -80.0), (-10.0, -5.0))
    marks = tuple(
        Mark(steps, np.array(log_p, np.float32), never)
        for steps, log_p in zip((2, 5, 9), said, strict=True)
    )
    assert sudden_steps(marks).tolist() == [5.0, 9.0]
    assert np.isnan(sudden_steps(marks[:1])).all()
    planted, schedule = plants([1, 1], [True, False]), Schedule(1, 1, 0.1, 1)
    table = dynamics_table(planted, 0, [_Marked(marks)], schedule)  # type: ignore[list-item] # all that is asked of a proxy
    found = dict(zip(table["taught"].to_pylist(), table["sudden_steps"].to_pylist(), strict=True))
    assert found == {0: 9.0, 1: 5.0}


class _Marked:
    """A proxy of one parameter without a model."""

    def __init__(self, marks):
        self.name, self.marks, self.parameters = "p0", marks, 1


def test_without_marks_the_table_is_empty():
    """Its schema is the same."""
    table = dynamics_table(plants([1], [True]), 0, [], SCHEDULE)
    assert table.num_rows == 0
    assert pa.schema(table.schema).names == DYNAMICS.names


def test_a_text_that_was_never_taught_was_taught_no_steps_ago():
    """Of three texts the last is never taught."""
    when = Taught(np.array([0, 1, 0]), np.array([4, 0, 2]), 3)
    assert when.times(3).tolist() == [1, 1, 0]
    assert when.since(3).tolist() == [1, 3, 0]
    assert when.since(5).tolist() == [1, 5, 0]
