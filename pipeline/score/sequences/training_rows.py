"""The rows that proxies are trained on: EOS and each sequence of the sampled families.

Each is trained on in the context that it is scored in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pipeline.config.sections import ProxyConfig
from pipeline.engine.stage import Work
from pipeline.engine.texts import texts_of_rows
from pipeline.score.proxy.tokenizer import EOS_ID, Encoded, encode
from pipeline.score.sequences.catalogue import Catalogue
from pipeline.score.sequences.sampling import Sample, choose_families, half_of
from pipeline.score.slices import ROW_TOKENS, SEQUENCE, starts
from pipeline.text.arrays import Int64

if TYPE_CHECKING:
    from tokenizers import Tokenizer


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
        copies: of each text that are trained on, (documents,).
        half: 0 or 1, of each document, (documents,).
        rows: EOS and a sequence each, in an order that no name of a shard enters, (rows, 65).
        row_half: half of each row, (rows,).
        families: how many the sample has.
        tokens: of the sample's documents, copies included, also of those too short for a sequence.
        in_part: families of which not all copies are trained on.
        skipped: families that are too large for the sample.
    """

    documents: Int64
    copies: Int64
    half: Int64
    rows: Int64  # (rows, 65)
    row_half: Int64
    families: int
    tokens: int
    in_part: int
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
    size = np.zeros(len(known.row_key), np.int64)
    numbers = np.array(sorted(texts), np.int64)
    size[numbers] = [len(texts[n].encoded.tokens) for n in numbers.tolist()]
    read = np.zeros(len(known.family_key), np.bool_)
    read[sample.families] = True
    found = choose_families(known, size, config.sample_tokens, read, config.seed)
    numbers = numbers[np.isin(known.family[numbers], found.families)]
    copies = np.zeros(len(size), np.int64)
    copies[numbers] = found.copies[numbers]
    half = half_of(known, config.seed)[known.family]
    order = [n for n in by_text(known, numbers) if copies[n] and len(texts[n].starts)]
    rows, owner = training_rows(order, copies, texts)
    chosen = np.sort(np.array(order, np.int64))
    return TrainingRows(
        chosen,
        copies[chosen],
        half[chosen],
        rows,
        half[owner],
        len(found.families),
        int((copies * size).sum()),
        _in_part(known, found.families, copies),
        sample.skipped,
    )


def _in_part(known: Catalogue, families: Int64, copies: Int64) -> int:
    """Return of how many families not all documents are trained on."""
    count = len(known.family_key)
    missing = np.bincount(known.family, minlength=count) > np.bincount(known.family, copies, count)
    return int(missing[families].sum())


def training_rows(
    order: list[int], copies: Int64, texts: Mapping[int, Text]
) -> tuple[Int64, Int64]:
    """Return a row for every sequence of the documents, once for each copy, and its document.

    Their shapes are (rows, 65) and (rows,).

    Args:
        order: the documents, by number.
        copies: of each text, (documents,).
        texts: by number of the document.
    """
    rows, owner = [np.zeros((0, ROW_TOKENS), np.int64)], [np.zeros(0, np.int64)]
    for number in order:
        once = token_rows(texts[number], texts[number].starts)
        rows.append(np.tile(once, (int(copies[number]), 1)))
        owner.append(np.full(len(rows[-1]), number, np.int64))
    return np.concatenate(rows), np.concatenate(owner)


def token_rows(text: Text, places: Int64) -> Int64:
    """Return EOS and the 64 tokens from each place of a text, (places, 65)."""
    inside = text.encoded.tokens[places[:, None] + np.arange(SEQUENCE)]
    return np.concatenate((np.full((len(places), 1), text.encoded.eos, np.int64), inside), axis=1)
