"""What a back-test plants: 64 tokens each, the share of words that it says, a fair coin."""

import re

import numpy as np
import pytest

from pipeline.backtest.corpus.canaries import passages, plant, vocabulary
from pipeline.backtest.corpus.corpus import rows_of_corpus
from pipeline.backtest.sizes import SIZES, Size, size_of, target_shape
from pipeline.config.sections import Config
from pipeline.errors import ConfigError
from pipeline.score.proxy.model import Shape
from pipeline.score.proxy.tokenizer import encode, train_tokenizer

SIZE = Size("test", (), 0, 1, 0, 100, (1, 4), 10, (0.25,), 6, 8, 4, 6, 5)


@pytest.fixture(scope="module")
def texts():
    """Return texts of words that are never twice in the same order."""
    random = np.random.default_rng(1)
    words = ["".join(random.choice(list("abcdefghij"), 5)) for _ in range(120)]
    return [" ".join(random.choice(words, 300)) for _ in range(40)]


@pytest.fixture(scope="module")
def tokenizer(texts):
    """Return a tokenizer of those texts."""
    return train_tokenizer(texts, 400)


@pytest.fixture(scope="module")
def planted(texts, tokenizer):
    """Return everything that is planted."""
    return plant(tokenizer, vocabulary(tokenizer, texts), passages(tokenizer, texts), SIZE, seed=1)


def test_every_planted_text_is_one_sequence(planted, tokenizer):
    """Each has exactly 64 tokens: a training row of its own, nothing of it cut off."""
    found = {len(one.tokens) for one in encode(tokenizer, [text.text for text in planted])}
    assert found == {64}


def test_every_kind_is_there_with_its_copies(planted):
    """Exact canaries at each dose, families of 8 texts, templates of 4 frames, references."""
    clusters: dict[str, set[str]] = {}
    for text in planted:
        clusters.setdefault(text.kind, set()).add(text.cluster)
    assert len(clusters["canary"]) == 2 * 10 + 2 * 5
    assert len(clusters["fuzzy"]) == 6
    assert len(clusters["template"]) == 4 * 6
    fuzzy = [text for text in planted if text.kind == "fuzzy"]
    assert len(fuzzy) == 6 * 8
    assert {text.copies for text in fuzzy} == {1}
    assert {text.unit for text in planted if text.kind == "template"} == {
        f"frame-{number}" for number in range(4)
    }


def test_fuzzy_copies_differ_in_the_share_of_words_that_was_asked_for(planted):
    """A quarter of the words of each copy is replaced; a word may by chance replace itself."""
    first = {text.cluster: text.text for text in planted if text.variant == 0}
    shares = []
    for text in planted:
        if text.kind == "fuzzy" and text.variant:
            words = list(zip(first[text.cluster].split(), text.text.split(), strict=True))
            shares.append(np.mean([one != other for one, other in words]))
    assert np.mean(shares) == pytest.approx(0.25, abs=0.03)


def test_instances_of_a_frame_differ_in_few_words(planted):
    """Clusters of a frame share all but its slots: four words, and one more in odd frames."""
    for frame in range(4):
        own = [text.text.split() for text in planted if text.unit == f"frame-{frame}"]
        differing = [len(set(column)) > 1 for column in zip(*own, strict=True)]
        assert sum(differing) == 4 + frame % 2


def test_the_coin_is_fair_and_of_whole_clusters(planted):
    """Every text of a cluster is on the same side; both sides are there."""
    sides: dict[str, set[bool]] = {}
    for text in planted:
        sides.setdefault(text.cluster, set()).add(text.inside)
    assert {len(side) for side in sides.values()} == {1}
    flipped = [side for name, side in sides.items() if not name.startswith("reference")]
    assert 0.25 < np.mean([side == {True} for side in flipped]) < 0.75
    assert all(sides[name] == {False} for name in sides if name.startswith("reference"))


def test_nothing_that_lost_the_coin_flip_is_in_the_corpus(planted):
    """The corpus holds each text inside as often as it says, and no other."""
    rows = rows_of_corpus(planted)
    wanted = sum(text.copies for text in planted if text.inside)
    assert rows.num_rows == wanted
    outside = {text.text for text in planted if not text.inside}
    assert not outside & set(rows["text"].to_pylist())
    assert len(set(rows["id"].to_pylist())) == rows.num_rows


def test_the_same_seed_plants_the_same(planted, texts, tokenizer):
    """Planting again gives the same texts and coins; another seed gives others."""
    words = vocabulary(tokenizer, texts)
    again = plant(tokenizer, words, passages(tokenizer, texts), SIZE, seed=1)
    other = plant(tokenizer, words, passages(tokenizer, texts), SIZE, seed=2)
    assert again == planted
    assert other != planted


def test_passages_are_cut_between_words_and_never_overlap(texts, tokenizer):
    """Each is in its text, begins with the space before a word, and occurs once."""
    found = list(passages(tokenizer, texts[:3]))
    assert len(found) == 12
    for cut in found:
        assert cut.startswith(" ")
        places = [text.find(cut) for text in texts[:3]]
        assert max(places) > 0
        assert re.search(re.escape(cut) + r"(?: |$)", " ".join(texts[:3]))


def test_too_small_a_source_is_said(tokenizer, texts):
    """Fewer passages than are to be planted raise an error, not a smaller back-test."""
    with pytest.raises(ValueError, match="too few passages"):
        plant(tokenizer, vocabulary(tokenizer, texts), passages(tokenizer, texts[:2]), SIZE, 1)


def test_sizes_are_by_name_and_the_configuration_changes_them():
    """An unknown size is refused with the known ones; rows, clusters and epochs can be set."""
    config = Config().backtest
    with pytest.raises(ConfigError, match="no such size"):
        size_of("huge", config)
    changed = size_of("smoke", config.model_copy(update={"rows": 7, "epochs": 2}))
    assert (changed.rows, changed.epochs) == (7, 2)
    assert changed.clusters == SIZES["smoke"].clusters


@pytest.mark.parametrize("ratio", [2.0, 5.0, 8.0])
def test_the_target_is_as_many_times_larger_as_asked(ratio):
    """The shape found is within a fifth of the ratio, and larger than the largest proxy."""
    largest = Shape(2048, 4, 96).parameters
    found = target_shape(2048, (4, 96), ratio).parameters / largest
    assert found == pytest.approx(ratio, rel=0.2)
