"""Make goldfish loss masks (Hans et al. 2024): one token of k is left out, the same in every copy.

Whether a token is left out of the loss depends on the h tokens before it and on nothing else
(eq. 3). So a passage that occurs often loses the same tokens every time, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.config.sections import Config
from pipeline.engine.files import digest_file
from pipeline.errors import ConfigError
from pipeline.filter.mitigations.token_kernels import in_the_loss
from pipeline.text.stored_tokenizer import read_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "tokenizer.json"


def tokenizer_path(config: Config, models: Sequence[Path]) -> Path:
    """Return the path of the tokenizer that is set, or of the proxies' where none is.

    Args:
        config: the settings.
        models: the files of the table `models`.

    Raises:
        ConfigError: When `mitigation.tokenizer` names no file, or names none and no proxy has one.
    """
    if not config.mitigation.tokenizer:
        found = [path for path in models if path.name == FILE]
        if not found:
            raise ConfigError(
                "There is no tokenizer to write tokens by.",
                where="mitigation.tokenizer",
                found="empty, and no proxy was trained: the sample was too small for any family",
                expected="a tokenizer.json, or a folder with one",
                fix="name one: --set mitigation.tokenizer=PATH; or raise proxy.sample_tokens",
            )
        return found[0]
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
    """Return the digest of the tokenizer that is set; None where it is that of the proxies.

    Raises:
        ConfigError: When `mitigation.tokenizer` names no file.
    """
    return digest_file(tokenizer_path(config, ())) if config.mitigation.tokenizer else None


def load_tokenizer(config: Config, models: Sequence[Path]) -> Tokenizer:
    """Return the tokenizer that is set, or that of the proxies where none is.

    Args:
        config: the settings.
        models: the files of the table `models`.

    Raises:
        ConfigError: When `mitigation.tokenizer` names no file, or no tokenizer.
    """
    return read_tokenizer(tokenizer_path(config, models), "mitigation.tokenizer")


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """Return the tokens of each text, (tokens,) each, without special tokens."""
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(one.ids, np.uint64) for one in encoded]


def loss_masks(tokenizer: Tokenizer, texts: Sequence[str], k: int, h: int) -> pa.Array:
    """Return for each text a list over its tokens, false for a token to leave out of the loss.

    Args:
        tokenizer: the tokenizer that the texts will be trained with.
        texts: the texts as written.
        k: one token in so many is left out.
        h: tokens before a token whose hash decides whether it is left out.
    """
    masks = [in_the_loss(ids, k, h) for ids in token_ids(tokenizer, texts)]
    ends = np.cumsum([0, *(mask.size for mask in masks)]).astype(np.int32)
    values = np.concatenate([np.zeros(0, np.uint8), *masks]).astype(np.bool_)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values), type=LOSS_MASK)


LOSS_MASK = pa.list_(pa.field("item", pa.bool_(), nullable=False))
