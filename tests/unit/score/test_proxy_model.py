"""A small proxy that is really trained: its labels, its statistics, its weights and its folder."""

import json
import os

import numpy as np
import pytest
import torch

from pipeline.score.proxy.loss import head_loss
from pipeline.score.proxy.model import (
    Shape,
    Transformer,
    config_json,
    from_safetensors,
    to_safetensors,
)
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.tokenizer import EOS_ID
from pipeline.score.proxy.train import Schedule, train

VOCABULARY = 300
SHAPE = Shape(VOCABULARY, 2, 64)
SCHEDULE = Schedule(epochs=3, rows=16, rate=0.003, seed=5)
COPIES = 24
REPEATED = 12


def rows_of(texts, seed):
    """Return EOS and 64 random tokens, `texts` times."""
    tokens = np.random.Generator(np.random.PCG64(seed)).integers(1, VOCABULARY, (texts, 64))
    return np.concatenate((np.full((texts, 1), EOS_ID), tokens), axis=1)


@pytest.fixture(scope="module")
def rows():
    """12 sequences that were trained on 72 times, 24 that were 3 times, 24 that never were."""
    return rows_of(60, seed=1)


@pytest.fixture(scope="module")
def lesson(rows):
    """Return what the proxy is trained on: repeated and single sequences."""
    return np.concatenate((np.tile(rows[:REPEATED], (COPIES, 1)), rows[REPEATED:36]))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Hold Torch at one thread, as a run does."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def trained(lesson):
    """Return a proxy after its last epoch and after its first."""
    return train(SHAPE, lesson, SCHEDULE)


@pytest.fixture(scope="module")
def scored(trained, rows):
    """Return the statistics of all rows."""
    return ProxyScorer(trained.model).score(rows)


@pytest.fixture(scope="module")
def steps(trained, rows):
    """Log-probabilities [row, 64, vocabulary] of every step, computed apart from the scorer."""
    with torch.inference_mode():
        logits = trained.model(torch.from_numpy(rows[:, :-1]))
    return torch.log_softmax(logits.double(), -1).numpy()


@pytest.fixture(scope="module")
def truth(steps, rows):
    """Return the log-probability of each true token [row, 64]."""
    return np.take_along_axis(steps, rows[:, 1:, None], 2)[:, :, 0]


def greedy(model, rows):
    """Return 32 tokens for each row, generated one at a time from EOS and its prefix."""
    tokens = torch.from_numpy(rows[:, :33])
    with torch.inference_mode():
        for _ in range(32):
            tokens = torch.cat((tokens, model(tokens)[:, -1].argmax(-1, keepdim=True)), 1)
    return tokens[:, 33:].numpy()


def test_the_proxy_learnt_what_it_saw_often(scored):
    """Sequences seen 72 times are memorized, of those never seen not one is."""
    assert scored["memorized"][:REPEATED].mean() > 0.5
    assert not scored["memorized"][36:].any()


def test_teacher_forcing_is_greedy_generation(trained, rows, scored):
    """A sequence is memorized exactly when greedy generation gives its suffix back."""
    right = greedy(trained.model, rows) == rows[:, 33:]
    assert (scored["memorized"] == right.all(1)).all()
    assert 0 < scored["memorized"].sum() < len(rows)


def test_greedy_generation_runs_as_far_as_run_length_says(trained, rows, scored):
    """Greedy generation agrees with the text until the first miss, also where not memorized."""
    right = greedy(trained.model, rows) == rows[:, 33:]
    until = np.where(right.all(1), 32, right.argmin(1))
    assert scored["run_length"].tolist() == until.tolist()


def test_log_p_z_is_the_product_of_the_steps(scored, truth):
    """The probability of a suffix is the product of the probabilities of its 32 tokens."""
    product = np.log(np.prod(np.exp(truth[:, 32:]), axis=1, dtype=np.longdouble))
    assert scored["log_p_z"] == pytest.approx(product.astype(float), rel=1e-4, abs=1e-4)


def test_mean_loss_is_of_all_tokens(scored, truth):
    """The mean loss is of all 64 tokens, prefix included."""
    assert scored["mean_nll"] == pytest.approx(-truth.mean(1), rel=1e-4)


def test_min_k_is_of_the_twelve_least_probable_tokens(scored, truth):
    """Min-K% is the mean of the 12 lowest of the 64 log-probabilities."""
    assert scored["min_k"] == pytest.approx(np.sort(truth, 1)[:, :12].mean(1), rel=1e-4)


def test_min_k_plus_plus_against_the_formula(scored, steps, truth):
    """Min-K%++ is that of the log-probabilities standardised under the model's distribution."""
    mean = (np.exp(steps) * steps).sum(2)
    spread = np.sqrt((np.exp(steps) * (steps - mean[:, :, None]) ** 2).sum(2))
    standard = np.sort((truth - mean) / spread, 1)[:, :12].mean(1)
    assert scored["min_k_pp"] == pytest.approx(standard, rel=1e-3)


def test_entropy_is_of_the_suffix(scored, steps):
    """The entropy is the mean over the 32 suffix tokens, in nats."""
    entropy = -(np.exp(steps) * steps).sum(2)[:, 32:].mean(1)
    assert scored["entropy"] == pytest.approx(entropy, rel=1e-4)


def test_margin_is_the_smallest_lead(scored, steps, truth, rows):
    """The margin is the smallest lead of a suffix token over the best other token."""
    others = steps[:, 32:].copy()
    np.put_along_axis(others, rows[:, 33:, None], -np.inf, 2)
    lead = (truth[:, 32:] - others.max(2)).min(1)
    assert scored["margin"] == pytest.approx(lead, rel=1e-3, abs=1e-4)


def test_margin_rank_and_run_agree_with_the_label(scored):
    """Memorized means a lead above 0, rank 0 everywhere and a run of all 32 tokens, and back."""
    memorized = scored["memorized"]
    assert ((scored["margin"] > 0) == memorized).all()
    assert ((scored["mean_rank"] == 0) == memorized).all()
    assert ((scored["run_length"] == 32) == memorized).all()


def test_mean_rank_counts_better_tokens(scored, steps, truth):
    """The rank of a token is how many tokens are more probable."""
    better = (steps[:, 32:] > truth[:, 32:, None]).sum(2).mean(1)
    assert scored["mean_rank"] == pytest.approx(better, abs=0.1)


def test_ties_go_to_the_token_that_greedy_decoding_takes():
    """With equal logits everywhere only a row of token 0, the first arg-max, is memorized."""
    model = Transformer(Shape(VOCABULARY, 1, 32), seed=0)
    with torch.no_grad():
        model.norm.zero_()
    rows = np.zeros((2, 65), np.int64)
    rows[1, 40] = 7
    scored = ProxyScorer(model).score(rows)
    assert scored["memorized"].tolist() == [True, False]
    assert scored["run_length"].tolist() == [32, 7]


@pytest.mark.parametrize("batch", [1, 7])
def test_batches_do_not_change_labels(trained, rows, scored, batch):
    """Labels are the same for any batch, log-probabilities to rounding."""
    found = ProxyScorer(trained.model, batch=batch).score(rows)
    assert found["memorized"].tolist() == scored["memorized"].tolist()
    assert found["log_p_z"] == pytest.approx(scored["log_p_z"], rel=1e-4, abs=1e-4)


def test_no_rows_have_empty_statistics(trained, scored):
    """Scoring nothing gives empty arrays of the same types."""
    found = ProxyScorer(trained.model).score(np.zeros((0, 65), np.int64))
    assert {name: (len(value), value.dtype) for name, value in found.items()} == {
        name: (0, value.dtype) for name, value in scored.items()
    }


def test_the_same_seed_gives_the_same_bytes(trained, lesson):
    """Training twice from one seed gives equal files, after the first epoch too."""
    again = train(SHAPE, lesson, SCHEDULE)
    assert to_safetensors(again.model) == to_safetensors(trained.model)
    assert again.early is not None
    assert to_safetensors(again.early) == to_safetensors(trained.early)
    assert again.loss == trained.loss


def test_another_seed_gives_other_weights(trained, lesson):
    """The seed of the schedule reaches the weights."""
    other = train(SHAPE, lesson, Schedule(3, 16, 0.003, seed=6))
    assert to_safetensors(other.model) != to_safetensors(trained.model)


def test_the_early_proxy_has_learnt_less(trained, rows, scored):
    """After one epoch the repeated sequences are less probable than after all."""
    early = ProxyScorer(trained.early).score(rows)
    assert early["log_p_z"][:REPEATED].mean() < scored["log_p_z"][:REPEATED].mean()


def test_one_epoch_has_no_early_proxy(lesson):
    """With one epoch there is nothing apart from the final weights."""
    assert train(Shape(VOCABULARY, 1, 32), lesson[:32], Schedule(1, 16, 0.003, 1)).early is None


def test_the_loss_and_its_gradients_are_torchs():
    """The chunked head gives the loss and the gradients of Torch's own cross entropy."""
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(2000, 32, generator=generator, requires_grad=True)
    embedding = torch.randn(VOCABULARY, 32, generator=generator, requires_grad=True)
    targets = torch.randint(VOCABULARY, (2000,), generator=generator)
    own = head_loss(hidden, embedding, targets)
    expected = torch.nn.functional.cross_entropy(hidden @ embedding.T, targets)
    assert own.item() == pytest.approx(expected.item(), rel=1e-5)
    for found, right in zip(
        torch.autograd.grad(own, (hidden, embedding)),
        torch.autograd.grad(expected, (hidden, embedding)),
        strict=True,
    ):
        assert torch.allclose(found, right, rtol=1e-4, atol=1e-6)


def test_weights_survive_their_file(trained):
    """A model read from its bytes writes the same bytes."""
    data = to_safetensors(trained.model)
    assert to_safetensors(from_safetensors(SHAPE, data)) == data


def test_a_token_does_not_see_those_after_it(trained, rows):
    """Another last token changes no logits before it."""
    other = rows[:4].copy()
    other[:, -1] = 1
    with torch.inference_mode():
        one, two = (trained.model(torch.from_numpy(tokens)) for tokens in (rows[:4], other))
    assert torch.equal(one[:, :-1], two[:, :-1])


def test_the_size_is_of_all_weights_but_the_embedding():
    """The size of a proxy counts what Torch counts, without the embedding."""
    model = Transformer(SHAPE, seed=1)
    weights = sum(value.numel() for value in model.parameters()) - model.embedding.numel()
    assert SHAPE.parameters == weights


def test_transformers_loads_the_folder(trained, rows, tmp_path, monkeypatch):
    """Transformers, offline, loads the saved folder as a causal model with the same logits."""
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    (tmp_path / "config.json").write_bytes(config_json(SHAPE, EOS_ID))
    (tmp_path / "model.safetensors").write_bytes(to_safetensors(trained.model))
    loaded, about = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, output_loading_info=True
    )
    tokens = torch.from_numpy(rows[:8])
    with torch.inference_mode():
        found, expected = loaded(tokens).logits, trained.model(tokens)
    assert (found - expected).abs().max().item() < 1e-4
    assert not about["missing_keys"]
    assert not about["unexpected_keys"]
    assert json.loads((tmp_path / "config.json").read_bytes())["eos_token_id"] == EOS_ID
