"""Goldfish loss masks (Hans et al. 2024): one token of k is never learnt, the same in every copy.

Whether a token is left out depends on the h tokens before it and on nothing else, so a passage that
occurs often is left with the same holes every time, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from pipeline.config.sections import Config
from pipeline.engine.files import digest_file
from pipeline.errors import ConfigError
from pipeline.filter.mitigations.token_kernels import in_the_loss
from pipeline.score.proxy.tokenizer import read_tokenizer

FILE = "tokenizer.json"


def tokenizer_path(config: Config, models: Sequence[Path]) -> Path:
    """Return the tokenizer.json that is configured, else that of the proxies."""
    if not config.mitigation.tokenizer:
        return next(path for path in models if path.name == FILE)
    path = Path(config.mitigation.tokenizer)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise ConfigError(
            "The tokenizer is not there.",
            where=f"mitigation.tokenizer = {config.mitigation.tokenizer}",
            found="no such file",
            expected="a tokenizer.json, or a folder with one",
            fix="correct the path, or leave it empty for the tokenizer of the proxies",
        )
    return path


def tokenizer_digest(config: Config) -> str | None:
    """Return the digest of a configured tokenizer; None for that of the proxies."""
    return digest_file(tokenizer_path(config, ())) if config.mitigation.tokenizer else None


def load_tokenizer(config: Config, models: Sequence[Path]) -> Tokenizer:
    """Return the tokenizer that is configured, else that of the proxies."""
    return read_tokenizer(tokenizer_path(config, models), "mitigation.tokenizer")


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """Return the tokens of each text, without special tokens."""
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(one.ids, np.uint64) for one in encoded]


def loss_masks(tokenizer: Tokenizer, texts: Sequence[str], k: int, h: int) -> pa.Array:
    """Return for each text a list over its tokens, false for a token to leave out of the loss."""
    masks = [in_the_loss(ids, k, h) for ids in token_ids(tokenizer, texts)]
    ends = np.cumsum([0, *(mask.size for mask in masks)]).astype(np.int32)
    values = np.concatenate([np.zeros(0, np.uint8), *masks]).astype(np.bool_)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values), type=LOSS_MASK)


LOSS_MASK = pa.list_(pa.field("item", pa.bool_(), nullable=False))
