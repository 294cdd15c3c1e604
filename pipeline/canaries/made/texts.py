"""The texts of canaries, each with the place where its prefix ends and its suffix begins.

A model is given the prefix and is to go on with the suffix: 32 tokens each of the run's tokenizer,
as sequences of the forecast have. A text is used only where this cut is between two words, so that
the same prefix and suffix are asked of a model of any tokenizer, as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.canaries.made.sources import WORDS, Sources, one_line
from pipeline.score.slices import PREFIX, SEQUENCE
from pipeline.text import segmentation
from pipeline.text.arrays import Int64

if TYPE_CHECKING:
    from pipeline.score.proxy.tokenizer import Encoded, Language

UNSCORED_WORDS = (24, 48)  # in which prefix and suffix end where there is no tokenizer
LEAST_WORDS = 50
SHIFTS = 8  # words that a natural text may lose at its beginning, so that it can be cut
SAME_END = 160  # characters that two texts share only if one is the end of the other
_WORDS = 63


@dataclass(frozen=True)
class CutText:
    """A text with its cut.

    Attributes:
        text: the whole of it.
        split: characters of the prefix.
        end: characters up to the end of the suffix.
        tokens: the end of text and the 64 tokens of both, (65,); empty without a tokenizer.
    """

    text: str
    split: int
    end: int
    tokens: Int64


def random_texts(of: Sources, count: int, seed: int) -> list[str]:
    """Return so many texts of 72 words, each drawn evenly from the word list."""
    random = np.random.Generator(np.random.PCG64([seed, _WORDS]))
    drawn = random.integers(len(of.words), size=(count, WORDS)).tolist()
    return [" ".join(of.words[place] for place in row) for row in drawn]


def natural_texts(of: Sources) -> list[str]:
    """Return as many texts as there are pieces for; none has a piece of another."""
    size = of.per_text
    whole = range(0, len(of.pieces) - size + 1, size)
    return [one_line("".join(of.pieces[first : first + size])) for first in whole]


def shifted(texts: Sequence[str], seed: int) -> list[str]:
    """Return each text, and after it what is left of it without its first words, up to 8.

    Args:
        texts: in one line each.
        seed: of the hashes of words.
    """
    words = segmentation.words(pa.array(texts, pa.large_string()), seed)
    found = []
    for number, text in enumerate(texts):
        low, high = words.offsets[number : number + 2].tolist()
        raw = text.encode()
        starts = words.starts[low : min(high, low + SHIFTS + 1)].tolist()
        found += [text, *(raw[start:].decode() for start in starts[1:])]
    return found


def cut_texts(texts: Sequence[str], language: Language | None, seed: int) -> list[CutText]:
    """Return those texts that are long enough and can be cut between two words, in their order.

    Of texts that end alike only the first: what is left of a text without its first words is no
    other one.

    Args:
        texts: in one line each.
        language: the run's tokenizer; None for a run that was never scored.
        seed: of the hashes of words.
    """
    from pipeline.score.proxy.tokenizer import encode

    words = segmentation.words(pa.array(texts, pa.large_string()), seed)
    encoded: Sequence[Encoded | None] = [None] * len(texts)
    if language is not None:
        encoded = encode(language.tokenizer, texts, language.eos)
    first: dict[str, CutText] = {}
    for one in _cuts(texts, words, encoded):
        first.setdefault(one.text[-SAME_END:], one)
    return list(first.values())


def _cuts(
    texts: Sequence[str], words: segmentation.Words, encoded: Sequence[Encoded | None]
) -> Iterator[CutText]:
    for number, (text, tokens) in enumerate(zip(texts, encoded, strict=True)):
        own = slice(*words.offsets[number : number + 2].tolist())
        starts, ends = words.starts[own].astype(np.int64), words.ends[own].astype(np.int64)
        found = None if len(starts) < LEAST_WORDS else _bytes(starts, ends, tokens)
        if found is None:
            continue
        raw, (split, end) = text.encode(), found
        row = np.zeros(0, np.int64)
        if tokens is not None:
            row = np.concatenate(([tokens.eos], tokens.tokens[:SEQUENCE])).astype(np.int64)
        yield CutText(text, len(raw[:split].decode()), len(raw[:end].decode()), row)


def _bytes(starts: Int64, ends: Int64, tokens: Encoded | None) -> tuple[int, int] | None:
    """Return the bytes at which prefix and suffix end; None where a word would be cut.

    Args:
        starts: first byte of each word, (words,).
        ends: one past the last of each, (words,).
        tokens: of the text; None without a tokenizer.
    """
    if tokens is None:
        return int(ends[UNSCORED_WORDS[0] - 1]), int(ends[UNSCORED_WORDS[1] - 1])
    if len(tokens.tokens) < SEQUENCE:
        return None
    split, end = int(tokens.starts[PREFIX]), int(tokens.ends[SEQUENCE - 1])
    within = bool(((starts < split) & (split < ends)).any())
    return None if within or tokens.ends[PREFIX - 1] > split else (split, end)
