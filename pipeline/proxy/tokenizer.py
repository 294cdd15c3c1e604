"""The one tokenizer of a run: byte-level BPE, trained on the sample."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

EOS = "<|endoftext|>"
EOS_ID = 0


@dataclass(frozen=True)
class Encoded:
    """A text in tokens.

    starts, ends: byte positions of each token, widened to character boundaries.
    """

    tokens: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Return a byte-level BPE of at most `vocabulary` tokens; EOS is number 0.

    The same texts in the same order give the same tokenizer: merges are by count, then by token
    number. A tiny sample has fewer merges, never fewer than the 256 bytes.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.encode_special_tokens = True  # the characters of EOS inside a text are text
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoded]:
    """Return each text in tokens, without special tokens, with the bytes of each token.

    A token that ends inside a character is given the whole character, so that no cut is ever inside
    one.
    """
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [_encoded(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]


def tokenizer_config() -> bytes:
    """Return the `tokenizer_config.json` with which transformers loads `tokenizer.json`."""
    values = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": EOS, "eos_token": EOS}
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def _encoded(text: str, encoding: object) -> Encoded:
    tokens = np.array(encoding.ids, np.int64)  # type: ignore[attr-defined]
    places = np.array(encoding.offsets, np.int64).reshape(-1, 2)  # type: ignore[attr-defined]
    if text.isascii():
        return Encoded(tokens, places[:, 0], places[:, 1])
    bytes_before = _bytes_before(text)
    return Encoded(tokens, bytes_before[places[:, 0]], bytes_before[places[:, 1]])


def _bytes_before(text: str) -> NDArray[np.int64]:
    """Return the byte position of each character and of the end."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    widths = 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(widths)))
