"""A small run, canaries of it, a model that was trained on them and one that was not."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.canaries.made.canaries import make_canaries
from pipeline.canaries.made.design import Design
from pipeline.score.proxy.model import Shape, Transformer, config_json, to_safetensors
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.tokenizer import Language, encode, tokenizer_config, train_tokenizer
from pipeline.score.proxy.train import Schedule, train
from tests.e2e.corpora import Prose

DESIGN = Design(doses=(1, 4, 16), pairs=3, references=60)
SHAPE = (2, 64)  # layers, width
EPOCHS = 4


@pytest.fixture(scope="session")
def texts():
    """Return the texts of a small corpus, no two alike."""
    prose = Prose(29)
    return [prose.text(120) for _ in range(300)]


@pytest.fixture(scope="session")
def scanned(texts, tmp_path_factory, make_corpus, scan):
    """Return a scanned run folder whose corpus calls its columns by names of its own."""
    folder = tmp_path_factory.mktemp("canaries")
    rows = [{"uuid": f"u{n}", "content": text} for n, text in enumerate(texts)]
    corpus = make_corpus(folder / "c", {"a.jsonl": rows})
    return scan(corpus, folder / "run", filtered=False).folder


@pytest.fixture(scope="session")
def made(scanned, tmp_path_factory):
    """Return canaries of the run, which has no forecast."""
    return make_canaries(scanned, DESIGN, tmp_path_factory.mktemp("made") / "canaries")


@pytest.fixture(scope="session")
def language(texts):
    """Return a tokenizer of the corpus."""
    return Language(train_tokenizer(texts, 2_500))


def saved(model, language, folder):
    """Write a model as transformers loads it; return its folder."""
    folder.mkdir()
    (folder / "config.json").write_bytes(config_json(model.shape, language.eos))
    (folder / "model.safetensors").write_bytes(to_safetensors(model))
    (folder / "tokenizer.json").write_bytes(language.stored)
    (folder / "tokenizer_config.json").write_bytes(tokenizer_config(language.eos_name))
    return folder


def rows_of(texts, language, width=68):
    """Return the end of text and the first tokens of each text, shorter ones filled up with it."""
    encoded = encode(language.tokenizer, texts, language.eos)
    rows = np.full((len(texts), 1 + width), language.eos, np.int64)
    for row, one in zip(rows, encoded, strict=True):
        row[1 : 1 + len(one.tokens[:width])] = one.tokens[:width]
    return rows


@pytest.fixture(scope="session")
def trained(made, texts, language, tmp_path_factory):
    """Return the folder of a small model after a training with the canaries mixed in."""
    mixed = pq.read_table(made.folder / made.key.file["name"])["content"].to_pylist()
    with torch_threads(1):
        shape = Shape(language.size, *SHAPE)
        rows = rows_of([*mixed, *texts[:20]], language)
        done = train(shape, rows, Schedule(EPOCHS, 4, 0.006, 1))
    return saved(done.model, language, tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture(scope="session")
def untrained(language, tmp_path_factory):
    """Return the folder of the same model before any training."""
    model = Transformer(Shape(language.size, *SHAPE), 3).eval()
    return saved(model, language, tmp_path_factory.mktemp("untrained") / "model")
