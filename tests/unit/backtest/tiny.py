"""A corpus of a few hundred small texts, some of them many times, scored in few seconds."""

import contextlib
import json

import numpy as np
import pytest

from pipeline.score.forecast import scaling
from pipeline.score.sequences import plants

WORDS = [a + b for a in ("band", "cord", "dish", "fund") for b in ("", "ly", "ed", "ing")]
COPIES = (10, 10, 8, 8, 6, 4, 4)
SCORED = (
    "proxy.sample_tokens=16000",
    "proxy.vocabulary=320",
    "proxy.shapes=[[1,32],[2,32],[3,32]]",
    "proxy.rate=0.004",
    "proxy.batch=4",
    "proxy.threads=1",
    "score.max_tokens=32768",
    "backtest.draws=100",
    "backtest.target_ratio=3",
)


def text(chance, words):
    """Return some words that a small model can learn something of."""
    return " ".join(chance.choice(WORDS, words).tolist())


def corpus(folder, singles=200):
    """Write single texts and repeated ones as JSON Lines; return the folder."""
    chance = np.random.default_rng(4)
    folder.mkdir(parents=True)
    rows = [text(chance, 260) for _ in range(singles)]
    for copies in COPIES:
        rows += [text(chance, 66)] * copies
    lines = [json.dumps({"id": f"d{n}", "text": row}) for n, row in enumerate(rows)]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@contextlib.contextmanager
def small():
    """Draw 8 laws in place of 128, and plant texts once, 64 and 256 times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaling, "LAW_DRAWS", 8)
        patch.setattr(plants, "DOSES", (1, 64, 256))
        patch.setattr(plants, "CLUSTERS", (24, 8, 16))
        yield
