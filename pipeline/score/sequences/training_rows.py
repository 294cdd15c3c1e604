"""What the proxies are trained on.

Whole families as rows of EOS and 64 tokens, each in the context it is scored in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tokenizers import Tokenizer

from pipeline.config.sections import ProxyConfig
from pipeline.engine.stage import Work
from pipeline.engine.texts import texts_of_rows
from pipeline.score.proxy.tokenizer import EOS_ID, Encoded, encode
from pipeline.score.sequences.catalogue import Catalogue
from pipeline.score.sequences.sampling import Sample, choose_families, half_of
from pipeline.score.slices import SEQUENCE, starts
from pipeline.text.arrays import Int64


@dataclass(frozen=True)
class Text:
    """A document's text, whole, with its tokens."""

    text: str
    encoded: Encoded

    @cached_property
    def raw(self) -> bytes:
        """Return the text as UTF-8."""
        return self.text.encode()

    @property
    def starts(self) -> Int64:
        """Return where its sequences start."""
        return starts(len(self.encoded.tokens))


@dataclass(frozen=True)
class TrainingRows:
    """The training rows of the sample. documents: first documents by number, sorted; half: of each.

    rows: [n, 65], in an order that no name of a shard enters; row_half: of each. tokens: of the
    sample's documents, copies included, also of those too short for a sequence. skipped: families
    too large for the sample.
    """

    documents: Int64
    half: Int64
    rows: Int64
    row_half: Int64
    families: int
    tokens: int
    skipped: int


def read_texts(work: Work, known: Catalogue, numbers: Int64) -> dict[int, str]:
    """Return the texts of some documents of the catalogue, by their numbers in it."""
    keys = known.row_key[numbers]
    number_of = dict(zip(keys.tolist(), numbers.tolist(), strict=True))
    found = texts_of_rows(work.shards, work.config.input, keys)
    return {number_of[key]: text for key, text in found}


def tokenized(tokenizer: Tokenizer, texts: Mapping[int, str], eos: int = EOS_ID) -> dict[int, Text]:
    """Return texts with their tokens."""
    encodings = encode(tokenizer, list(texts.values()), eos)
    return {
        number: Text(text, encoded)
        for (number, text), encoded in zip(texts.items(), encodings, strict=True)
    }


def by_text(known: Catalogue, numbers: Int64) -> list[int]:
    """Return documents in the order of their text hashes, which no name of a shard enters."""
    return [int(n) for n in numbers[np.argsort(known.text_key[numbers], kind="stable")]]


def sample_rows(
    known: Catalogue, sample: Sample, texts: Mapping[int, Text], config: ProxyConfig
) -> TrainingRows:
    """Choose again from what was read, now by its tokens, and cut it into rows."""
    size = np.zeros(len(known.family_key), np.int64)
    for number, text in texts.items():
        size[known.family[number]] += len(text.encoded.tokens) * int(known.exact_count[number])
    read = np.zeros(len(size), np.bool_)
    read[sample.families] = True
    families = choose_families(known, size, config.sample_tokens, read, config.seed).families
    half = half_of(known, config.seed)[known.family]
    chosen = np.array([n for n in sorted(texts) if len(texts[n].starts)], np.int64)
    chosen = chosen[np.isin(known.family[chosen], families)]
    rows, owner = training_rows(known, by_text(known, chosen), texts)
    tokens = int(size[families].sum())
    return TrainingRows(
        chosen, half[chosen], rows, half[owner], len(families), tokens, sample.skipped
    )


def training_rows(
    known: Catalogue, order: list[int], texts: Mapping[int, Text]
) -> tuple[Int64, Int64]:
    """Return the rows of every sequence of the documents, once for each copy.

    Beside them, the document of each.
    """
    rows, owner = [np.zeros((0, SEQUENCE + 1), np.int64)], [np.zeros(0, np.int64)]
    for number in order:
        own = token_rows(texts[number], texts[number].starts)
        rows.append(np.tile(own, (int(known.exact_count[number]), 1)))
        owner.append(np.full(len(rows[-1]), number, np.int64))
    return np.concatenate(rows), np.concatenate(owner)


def token_rows(text: Text, places: Int64) -> Int64:
    """Return [n, 65]: EOS and the 64 tokens from each place."""
    inside = text.encoded.tokens[places[:, None] + np.arange(SEQUENCE)]
    return np.concatenate((np.full((len(places), 1), text.encoded.eos, np.int64), inside), axis=1)
