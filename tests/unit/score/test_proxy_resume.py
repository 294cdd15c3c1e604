"""Training and scoring that are killed, or run out of memory, end as if they had not been."""

import time

import numpy as np
import pytest
import torch

from pipeline.config.sections import ProxyConfig
from pipeline.errors import PipelineError
from pipeline.score.proxy import ensemble, precision, statistics, train
from pipeline.score.proxy.checkpoint import Checkpoint, key_of
from pipeline.score.proxy.model import Transformer, to_safetensors
from pipeline.score.proxy.pool import WorkerPool, torch_threads
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import TrainingOptions
from tests.unit.score.tiny_training import SCHEDULE, SHAPE, STEPS, Killed, tiny_rows


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Hold Torch at one thread, as a run does."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def rows():
    """Return 40 rows of EOS and 64 tokens: five steps an epoch."""
    return tiny_rows()


@pytest.fixture(scope="module")
def undisturbed(rows):
    """Return the proxy of a training that nobody stopped."""
    return train.train(SHAPE, rows, SCHEDULE)


def stop_at(place):
    """Return a listener that ends a job once so much is done."""

    def on_progress(done, _):
        if done >= place:
            raise Killed

    return on_progress


def assert_same(found, expected):
    """Require equal weights after the last epoch and the first, and an equal loss."""
    assert to_safetensors(found.model) == to_safetensors(expected.model)
    assert to_safetensors(found.early) == to_safetensors(expected.early)
    assert found.loss == expected.loss


@pytest.mark.parametrize("steps", [1, 5, 8, STEPS])
def test_a_stopped_training_ends_with_the_same_bytes(tmp_path, rows, undisturbed, steps):
    """Stopped in or after either epoch, it takes only the steps that are left."""
    checkpoint = Checkpoint(tmp_path / "p", "key", seconds=0.0)
    with pytest.raises(Killed):
        train.train(
            SHAPE, rows, SCHEDULE, "cpu", stop_at(steps), TrainingOptions(checkpoint=checkpoint)
        )
    taken = []
    again = Checkpoint(tmp_path / "p", "key")
    stopped = again.load()
    assert stopped is not None
    done = stopped[1]
    assert 0 < done <= steps
    on_progress = lambda step, _: taken.append(step)  # noqa: E731
    assert_same(
        train.train(SHAPE, rows, SCHEDULE, "cpu", on_progress, TrainingOptions(checkpoint=again)),
        undisturbed,
    )
    assert taken == list(range(done + 1, STEPS + 1))


def test_a_finished_training_is_not_done_again(tmp_path, rows, undisturbed):
    """The last step is always kept, so a kill while others still train costs nothing."""
    checkpoint = Checkpoint(tmp_path / "p", "key")
    train.train(SHAPE, rows, SCHEDULE, options=TrainingOptions(checkpoint=checkpoint))
    assert_same(
        train.train(
            SHAPE, rows, SCHEDULE, "cpu", stop_at(0), TrainingOptions(checkpoint=checkpoint)
        ),
        undisturbed,
    )


def damaged(data):
    """Return a checkpoint with one bit flipped in its last tensor."""
    return data[:-3] + bytes([data[-3] ^ 4]) + data[-2:]


@pytest.mark.parametrize(
    ("key", "change"),
    [("other", bytes), ("key", damaged), ("key", lambda data: data[:-40]), ("key", lambda _: b"")],
    ids=["of-other-settings", "bit-flipped", "cut-off", "empty"],
)
def test_a_checkpoint_that_is_not_ours_is_passed_over(tmp_path, rows, undisturbed, key, change):
    """One of other settings or with damage is as none: training begins at the start."""
    path = tmp_path / "p"
    kept = Checkpoint(path, key, seconds=0.0)
    with pytest.raises(Killed):
        train.train(SHAPE, rows, SCHEDULE, "cpu", stop_at(3), TrainingOptions(checkpoint=kept))
    path.write_bytes(change(path.read_bytes()))
    own = Checkpoint(path, "key")
    assert own.load() is None
    assert_same(
        train.train(SHAPE, rows, SCHEDULE, options=TrainingOptions(checkpoint=own)), undisturbed
    )


def test_the_key_holds_settings_data_and_threads(rows):
    """Another setting, another token or another number of threads is another key."""
    other = rows.copy()
    other[3, 3] += 1
    keys = [key_of(("a", 1), rows.data), key_of(("a", 2), rows.data), key_of(("a", 1), other.data)]
    torch.set_num_threads(2)
    keys.append(key_of(("a", 1), rows.data))
    torch.set_num_threads(1)
    assert len(set(keys)) == 4
    assert key_of(("a", 1), rows.copy().data) == keys[0]


def test_checkpoints_cost_a_fiftieth_at_most(tmp_path):
    """After one that took long, the next is not due before fifty times that."""
    kept = Checkpoint(tmp_path / "p", "key", seconds=0.0)
    assert kept.due()
    kept.save({"x": torch.zeros(3)}, 1)
    kept._cost = 10.0
    assert not kept.due()


def test_no_kill_takes_more_than_ten_minutes(tmp_path):
    """A checkpoint that takes minutes to write is written after eight all the same."""
    kept = Checkpoint(tmp_path / "p", "key")
    kept._cost = 100.0
    kept._saved = time.monotonic() - 470.0
    assert not kept.due()
    kept._saved -= 20.0
    assert kept.due()


def test_on_a_gpu_one_job_runs_at_a_time():
    """Side by side they would share its memory; on a CPU all cores are used."""
    assert ensemble.cores_for(ProxyConfig(device="cuda"), 16) == 1
    assert ensemble.cores_for(ProxyConfig(device="cpu"), 16) == 16


def same(found, expected):
    """Tell whether two sets of statistics are equal, bit for bit."""
    return found.keys() == expected.keys() and all(
        np.array_equal(found[name], expected[name]) for name in expected
    )


@pytest.mark.parametrize("done", [8, 24, 40])
def test_a_stopped_scoring_ends_with_the_same_bytes(tmp_path, rows, undisturbed, done):
    """Scoring goes on after the batches that were kept, to equal statistics."""
    model = undisturbed.model
    expected = ProxyScorer(model, batch=8).score(rows)
    kept = Checkpoint(tmp_path / "s", "key", seconds=0.0)
    with pytest.raises(Killed):
        ProxyScorer(model, batch=8, advance=stop_at(done), checkpoint=kept).score(rows)
    told = []
    again = Checkpoint(tmp_path / "s", "key")
    scorer = ProxyScorer(
        model,
        batch=8,
        advance=lambda so_far, _: told.append(so_far),
        checkpoint=again,
    )
    stopped = again.load()
    assert stopped is not None
    first = stopped[1]
    assert same(scorer.score(rows), expected)
    assert told == list(range(first + 8, 41, 8))


class Small:
    """A model on a device that holds `most` rows: more raise what Torch raises on a GPU."""

    def __init__(self, model, most):
        self.model, self.most, self.asked = model, most, []
        self.vocabulary, self.size, self.head = model.vocabulary, model.size, model.head

    def hidden(self, tokens):
        """Return hidden states, or run out of memory."""
        self.asked.append(len(tokens))
        if len(tokens) > self.most:
            raise torch.OutOfMemoryError
        return self.model.hidden(tokens)


def test_scoring_on_a_small_device_gives_the_same(rows, undisturbed):
    """A batch that does not fit is halved until it does, to equal bytes, and this is told."""
    small = Small(undisturbed.model, 5)
    scorer = ProxyScorer(small, batch=16)
    assert same(scorer.score(rows), ProxyScorer(undisturbed.model, batch=16).score(rows))
    assert small.asked[:4] == [16, 8, 4, 4]
    assert small.asked.count(16) == 1
    assert (scorer.short, scorer.rows_at_once) == (True, 4)


def test_a_device_too_small_for_one_row_says_so(rows, undisturbed):
    """When not even one sequence fits there is one clear error."""
    with pytest.raises(PipelineError, match="one sequence at a time") as caught:
        ProxyScorer(Small(undisturbed.model, 0), batch=16).score(rows)
    assert "proxy.device=cpu" in str(caught.value)


def test_training_on_a_small_device_makes_the_same_steps(monkeypatch, rows, undisturbed):
    """Gradients are summed over parts of a batch: the same weights but for rounding, and told."""
    hidden = Transformer.hidden

    def short(model, tokens):
        if len(tokens) > 3:
            raise torch.OutOfMemoryError
        return hidden(model, tokens)

    monkeypatch.setattr(Transformer, "hidden", short)
    found = train.train(SHAPE, rows, SCHEDULE)
    assert (found.rows_at_once, undisturbed.rows_at_once) == (2, 8)
    assert found.loss == pytest.approx(undisturbed.loss, rel=1e-4)
    for one, other in zip(found.model.parameters(), undisturbed.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=2e-3)


def test_a_crew_keeps_and_tells(tmp_path, monkeypatch, rows, undisturbed):
    """What proxies are scored with is kept in the crew's folder, what was short is said."""
    monkeypatch.setitem(statistics.BATCHES, "cpu", 16)
    model = Small(undisturbed.model, 9)
    proxy = ensemble.Proxy("p0", "ladder", model, (0, 1), 2, 0, 0.0, "cpu", "identity")
    pool = WorkerPool(1, 1, lambda *_: None, tmp_path / "unfinished")
    (found,) = ensemble.score_all([proxy], [rows], pool)
    assert pool.short == {"scoring p0": 8}
    assert [path.name for path in (tmp_path / "unfinished").iterdir()] == ["p0.scoring"]
    model.most = 0  # all of it is kept: nothing is computed again
    assert same(ensemble.score_all([proxy], [rows], pool)[0], found)


def test_halving_returns_what_fitted():
    """Rows at a time are halved, upwards, from what there is."""

    def work(at_once):
        if at_once > 2:
            raise torch.OutOfMemoryError
        return "made"

    assert precision.halving(7, 64, work, "a test") == ("made", 2)
