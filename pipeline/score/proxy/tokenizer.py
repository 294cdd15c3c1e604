"""The one tokenizer of a run: byte-level BPE trained on the sample, or an existing one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.text.stored_tokenizer import read_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EOS = "<|endoftext|>"
EOS_ID = 0
NOT_ENCODING = ("decoder", "post_processor", "padding", "truncation", "version")


@dataclass(frozen=True)
class Encoded:
    """A text in tokens, with the bytes that each covers.

    Attributes:
        tokens: numbers of the tokens, (tokens,).
        starts: first byte of each token, widened to a character boundary, (tokens,).
        ends: byte past each token, widened likewise, (tokens,).
        eos: number of the token that a sequence is scored after.
    """

    tokens: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    eos: int = EOS_ID


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Return a byte-level BPE of at most `vocabulary` tokens, trained on texts; EOS is number 0.

    The same texts in the same order give the same tokenizer: merges are by count, then by token
    number. A tiny sample has fewer merges, never fewer tokens than the 256 bytes.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

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


@dataclass(frozen=True)
class Language:
    """A tokenizer with the token that ends a text.

    Attributes:
        tokenizer: of the tokenizers library.
        eos: number of the end of text.
        eos_name: its name in the vocabulary.
    """

    tokenizer: Tokenizer
    eos: int = EOS_ID
    eos_name: str = EOS

    @property
    def size(self) -> int:
        """One more than the largest token number: numbers may have gaps."""
        return 1 + max(self.tokenizer.get_vocab(with_added_tokens=True).values())

    @property
    def stored(self) -> bytes:
        """The bytes of its `tokenizer.json`."""
        return self.tokenizer.to_str().encode()

    @property
    def digest(self) -> str:
        """A digest of what decides how a text is encoded, and of EOS."""
        about = json.loads(self.tokenizer.to_str())
        parts = {key: value for key, value in about.items() if key not in NOT_ENCODING}
        data = json.dumps([parts, self.eos], sort_keys=True).encode()
        return hashlib.blake2b(data, digest_size=16).hexdigest()


def load_language(folder: Path, where: str) -> Language:
    """Return the tokenizer of a model's folder, as fast tokenizers store it.

    Args:
        folder: the model's.
        where: the setting that names the folder.

    Raises:
        ConfigError: when there is no `tokenizer.json`, or nothing says which token ends a text.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigError(
            "There is no tokenizer in a folder that should have one.",
            where=f"{where}: {folder}",
            found="no tokenizer.json",
            expected="the tokenizer.json of a fast tokenizer",
            fix="save it there: AutoTokenizer.from_pretrained(...).save_pretrained(FOLDER)",
        )
    tokenizer = read_tokenizer(path, where)
    name = _eos_name(folder, tokenizer)
    number = None if name is None else tokenizer.token_to_id(name)
    if name is None or number is None:
        raise ConfigError(
            "A tokenizer does not say which token ends a text.",
            where=f"{where}: {folder}",
            found="no eos_token in tokenizer_config.json, no eos_token_id in config.json",
            expected="one that the tokenizer has: each sequence is scored after it",
            fix='add "eos_token" to tokenizer_config.json',
        )
    return Language(tokenizer, number, name)


def _eos_name(folder: Path, tokenizer: Tokenizer) -> str | None:
    """Return the name of the token that ends a text by the files of a folder, or None."""
    named = _json(folder / "tokenizer_config.json").get("eos_token")
    if isinstance(named, dict):
        named = named.get("content")
    if isinstance(named, str):
        return named
    for file in ("generation_config.json", "config.json"):
        number = _json(folder / file).get("eos_token_id")
        number = number[0] if isinstance(number, list) and number else number
        if isinstance(number, int):
            return tokenizer.id_to_token(number)
    return None


def _json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one without the file."""
    found = json.loads(path.read_bytes()) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def encode(tokenizer: Tokenizer, texts: Sequence[str], eos: int = EOS_ID) -> list[Encoded]:
    """Return each text in tokens, without special tokens, with the bytes of each token.

    A token that ends inside a character is given the whole character, so that no cut is ever inside
    one.
    """
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [_encoded(text, one, eos) for text, one in zip(texts, encodings, strict=True)]


def tokenizer_config(eos: str = EOS) -> bytes:
    """Return the `tokenizer_config.json` with which transformers loads `tokenizer.json`."""
    values = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": eos, "eos_token": eos}
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def _encoded(text: str, encoding: object, eos: int) -> Encoded:
    tokens = np.array(encoding.ids, np.int64)  # type: ignore[attr-defined]
    places = np.array(encoding.offsets, np.int64).reshape(-1, 2)  # type: ignore[attr-defined]
    if text.isascii():
        return Encoded(tokens, places[:, 0], places[:, 1], eos)
    bytes_before = _bytes_before(text)
    return Encoded(tokens, bytes_before[places[:, 0]], bytes_before[places[:, 1]], eos)


def _bytes_before(text: str) -> NDArray[np.int64]:
    """Return the byte position of each character and of the end, (characters + 1,)."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    widths = 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(widths)))
