"""Ask a model of a folder for canaries: one teacher-forced pass over each.

Its own tokenizer is used, after its end of text. A suffix is recited when each of its tokens is the
model's first choice, which is what greedy generation gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.canaries.checked.answers import Answers
from pipeline.canaries.key import Canary, Key
from pipeline.config.sections import ProxyConfig
from pipeline.engine.progress import current
from pipeline.errors import ConfigError
from pipeline.text.arrays import Int64

if TYPE_CHECKING:
    from pipeline.score.proxy.pretrained import Loaded
    from pipeline.score.proxy.tokenizer import Encoded, Language

BATCH = 16  # rows
OPTION = "--model"


@dataclass(frozen=True)
class _Row:
    """A canary in a model's tokens.

    Attributes:
        canary: the canary.
        tokens: the end of text, then the text up to the end of the suffix, (tokens,).
        first: place of the suffix's first token.
    """

    canary: Canary
    tokens: Int64
    first: int


def ask_model(key: Key, name: str) -> Answers:
    """Return what a model says to each canary.

    Args:
        key: the canaries.
        name: folder of the model, in the transformers format with safetensors weights.

    Raises:
        ConfigError: When it cannot be loaded, has no tokenizer, or too short a context.
    """
    from pipeline.score.proxy.ensemble import chosen_device
    from pipeline.score.proxy.pool import torch_threads
    from pipeline.score.proxy.pretrained import load_models

    config = ProxyConfig(models=(name,))
    language = _language(config, name)
    rows = list(_rows(key.canaries, language))
    [model] = load_models(config.models, language.size, chosen_device(config))
    longest = max(len(row.tokens) for row in rows)
    context = getattr(model.model.config, "max_position_embeddings", None) or longest
    if context < longest:
        raise ConfigError(
            "The context of the model is too short for the canaries.",
            where=f"{OPTION} {name}",
            found=f"{context} tokens",
            expected=f"{longest} of its tokens or more",
        )
    found = Answers(name)
    with torch_threads(config.threads):
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            for row, (recited, log_p) in zip(part, _asked(model, part, language.eos), strict=True):
                found.recited[row.canary.id] = recited
                found.log_p[row.canary.id] = log_p
            current().advance(start + len(part), len(rows), "canaries")
    return found


def _language(config: ProxyConfig, name: str) -> Language:
    """Return the tokenizer of the model.

    Raises:
        ConfigError: When it has none.
    """
    from pipeline.score.proxy.pretrained import language_of

    found = language_of(config)
    if found is None:
        raise ConfigError("The model has no tokenizer.", where=f"{OPTION} {name}")
    return found


def _rows(canaries: Sequence[Canary], language: Language) -> Iterator[_Row]:
    """Yield each canary in tokens of the whole text, as a training has them."""
    from pipeline.score.proxy.tokenizer import encode

    encoded = encode(language.tokenizer, [one.text for one in canaries], language.eos)
    for canary, one in zip(canaries, encoded, strict=True):
        first, past = _suffix_tokens(canary, one)
        tokens = np.concatenate(([one.eos], one.tokens[:past])).astype(np.int64)
        yield _Row(canary, tokens, 1 + first)


def _suffix_tokens(canary: Canary, one: Encoded) -> tuple[int, int]:
    """Return the first token that ends within the suffix, and one past the last that begins in it.

    Some tokenizers give the space before a word a token of its own, or to the word.
    """
    split = len(canary.text[: canary.split].encode())
    end = len(canary.text[: canary.end].encode())
    first = int(np.searchsorted(one.ends, split, "right"))
    return first, max(first + 1, int(np.searchsorted(one.starts, end, "left")))


def _asked(model: Loaded, rows: Sequence[_Row], eos: int) -> Iterator[tuple[bool, float]]:
    """Yield whether a model recites the suffix of each row, and its log probability in nats."""
    import torch

    width = max(len(row.tokens) for row in rows)
    padded = np.full((len(rows), width), eos, np.int64)  # behind a row: nothing in it sees them
    for place, row in enumerate(rows):
        padded[place, : len(row.tokens)] = row.tokens
    with torch.inference_mode():
        hidden = model.hidden(torch.from_numpy(padded[:, :-1]).to(model.device))
        for place, row in enumerate(rows):
            own = hidden[place, row.first - 1 : len(row.tokens) - 1]
            logits = model.head(own.float()).float().cpu()
            true = torch.from_numpy(row.tokens[row.first :])
            log_p = logits.log_softmax(-1).gather(-1, true[:, None])
            yield bool((logits.argmax(-1) == true).all()), float(log_p.double().sum())
