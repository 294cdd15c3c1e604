"""The rows that proxies are trained on: EOS and each sequence of whole families.

Each is trained on in the context that it is scored in.
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
from pipeline.score.slices import ROW_TOKENS, SEQUENCE, starts
from pipeline.text.arrays import Int64


@dataclass(frozen=True)
class Text:
    """The whole text of a document, with its tokens.

    Attributes:
        text: the text.
        encoded: its tokens.
    """

    text: str
    encoded: Encoded

    @cached_property
    def raw(self) -> bytes:
        """The text as UTF-8."""
        return self.text.encode()

    @property
    def starts(self) -> Int64:
        """The first tokens of its sequences, (sequences,)."""
        return starts(len(self.encoded.tokens))


@dataclass(frozen=True)
class TrainingRows:
    """The rows of the sample that proxies are trained on.

    Attributes:
        documents: first documents of their texts, by number, sorted, (documents,).
        half: 0 or 1, of each document, (documents,).
        rows: EOS and a sequence each, in an order that no name of a shard enters, (rows, 65).
        row_half: half of each row, (rows,).
        families: how many the sample has.
        tokens: of the sample's documents, copies included, also of those too short for a sequence.
        skipped: families that are too large for the sample.
    """

    documents: Int64
    half: Int64
    rows: Int64  # (rows, 65)
    row_half: Int64
    families: int
    tokens: int
    skipped: int


def read_texts(work: Work, known: Catalogue, numbers: Int64) -> dict[int, str]:
    """Return the texts of some documents by their number; only shards that hold any are read.

    Args:
        work: of the stage.
        known: the documents.
        numbers: of those to read.
    """
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
    """Choose again from what was read, now by its tokens, and cut it into rows.

    Args:
        known: the documents.
        sample: the families that were read.
        texts: by number of the document.
        config: the settings of the proxies.
    """
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
    """Return a row for every sequence of the documents, once for each copy, and its document.

    Their shapes are (rows, 65) and (rows,).
    """
    rows, owner = [np.zeros((0, ROW_TOKENS), np.int64)], [np.zeros(0, np.int64)]
    for number in order:
        once = token_rows(texts[number], texts[number].starts)
        rows.append(np.tile(once, (int(known.exact_count[number]), 1)))
        owner.append(np.full(len(rows[-1]), number, np.int64))
    return np.concatenate(rows), np.concatenate(owner)


def token_rows(text: Text, places: Int64) -> Int64:
    """Return EOS and the 64 tokens from each place of a text, (places, 65)."""
    inside = text.encoded.tokens[places[:, None] + np.arange(SEQUENCE)]
    return np.concatenate((np.full((len(places), 1), text.encoded.eos, np.int64), inside), axis=1)
