"""The goldfish arm: its rows are masked as the filter masks the documents they are cut from."""

import numpy as np
import pytest

from pipeline.backtest.arms.goldfish import goldfish_settings, rows_in_the_loss
from pipeline.config.load import load_config
from pipeline.filter.mitigations.goldfish import loss_masks
from pipeline.filter.mitigations.token_kernels import in_the_loss
from pipeline.score.proxy.tokenizer import train_tokenizer
from pipeline.score.sequences.training_rows import tokenized, training_rows

K, H = 3, 5
WORDS = ("tyger", "burning", "bright", "forests", "of", "the", "night", "immortal", "hand", "eye")


@pytest.fixture(scope="module")
def tokenizer():
    """Return a small tokenizer of its own."""
    return train_tokenizer([" ".join(WORDS)], 300)


def rows_of(tokenizer, texts, copies):
    """Return the encoded texts, and every row with its document and first token."""
    encoded = tokenized(tokenizer, dict(enumerate(texts)))
    order = list(range(len(texts)))[::-1]
    rows, owner = training_rows(order, np.array(copies), encoded)
    start = np.concatenate([np.tile(encoded[n].starts, copies[n]) for n in order])
    return encoded, rows, owner, start


def prose(words, seed):
    """Return some words in a random order."""
    return " ".join(np.random.default_rng(seed).choice(WORDS, words).tolist())


def test_a_row_is_masked_as_the_emitted_mask_of_its_document(tokenizer):
    """Each token of a row has the flag that kept/ has for it, also at the start of the row."""
    texts = [prose(220, seed=1), prose(70, seed=2), prose(90, seed=3)]
    encoded, rows, owner, start = rows_of(tokenizer, texts, (2, 1, 3))
    keep = rows_in_the_loss(encoded, owner, start, np.ones(3, np.bool_), K, H)
    emitted = loss_masks(tokenizer, texts, K, H).to_pylist()
    assert len({*start.tolist()}) > 2
    for row, document, first, mask in zip(rows, owner, start, keep, strict=True):
        tokens = encoded[int(document)].encoded.tokens
        assert row[1:].tolist() == tokens[first : first + 64].tolist()
        assert mask.tolist() == emitted[document][first : first + 64]
    later = keep[start > 0]
    assert not later[:, :H].all()  # tokens before the row decide; only a document's first h count


def test_documents_that_are_not_masked_are_learnt_whole(tokenizer):
    """Every token of their rows counts."""
    encoded, _, owner, start = rows_of(tokenizer, [prose(90, seed=4), prose(90, seed=5)], (1, 1))
    masked = np.array([True, False])
    keep = rows_in_the_loss(encoded, owner, start, masked, K, H)
    assert keep[owner == 1].all()
    assert not keep[owner == 0].all()
    assert rows_in_the_loss(encoded, owner, start, masked & False, K, H).all()


def test_a_token_is_left_out_by_the_h_tokens_before_it_alone():
    """Changing token i never changes mask i; changing token i - h can, i - h - 1 never does."""
    tokens = np.random.default_rng(7).integers(0, 2_000, 400).astype(np.uint64)
    before = in_the_loss(tokens, K, H)
    changed = {0: 0, H: 0, H + 1: 0}
    for place in range(H + 1, tokens.size):
        for back in changed:
            other = tokens.copy()
            other[place - back] += np.uint64(1)
            changed[back] += int(in_the_loss(other, K, H)[place] != before[place])
    assert changed[0] == 0
    assert changed[H] > 0
    assert changed[H + 1] == 0


def test_one_token_in_k_is_left_out_also_of_tokens_nought_and_one():
    """The share left out is 1/k; contexts of the lowest token numbers are not all treated alike."""
    many = np.random.default_rng(0).integers(0, 2_000, 30_000).astype(np.uint64)
    assert (in_the_loss(many, 4, 13) == 0).mean() == pytest.approx(0.25, abs=0.02)
    few = np.random.default_rng(1).integers(0, 2, 4_000).astype(np.uint64)
    assert (in_the_loss(few, 4, 13) == 0).mean() == pytest.approx(0.25, abs=0.05)


def test_the_order_of_the_tokens_before_counts():
    """Some runs of tokens decide otherwise when they are turned round."""
    runs = np.random.default_rng(7).integers(1, 50, (300, H + 1)).astype(np.uint64)
    turned = np.concatenate((runs[:, H - 1 :: -1], runs[:, H:]), axis=1)
    one, two = ([in_the_loss(run, K, H)[-1] for run in side] for side in (runs, turned))
    assert one != two


def test_the_arm_takes_the_settings_of_the_run_where_it_writes_masks():
    """Without masks of the run's own, k and h are those of the back-test."""
    assert goldfish_settings(load_config(settings=[])) == (4, 13)
    own = ["mitigation.goldfish_k=3", "mitigation.goldfish_h=7", "backtest.goldfish_k=9"]
    assert goldfish_settings(load_config(settings=own)) == (3, 7)
