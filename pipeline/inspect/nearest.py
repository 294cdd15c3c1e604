"""Find the documents that are near one text: proposed by signature, verified on the words.

The share of equal MinHash values estimates the Jaccard; whether a band is shared would add nothing.
The documents with the best estimates are verified. Exact copies of one another count as one text,
so that a text of a thousand copies takes one place. Memory follows a row group and the proposals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from pipeline.config.sections import SketchConfig
from pipeline.engine.parts import in_order
from pipeline.engine.tables import read_group
from pipeline.inspect import lookup_kernels
from pipeline.scan import pair_kernels
from pipeline.scan.pair_kernels import COLLISION, Sets
from pipeline.scan.shingle_sets import shingle_sets
from pipeline.scan.signatures import short_hashes, signature_matrix
from pipeline.scan.words import chunk_places, collision
from pipeline.text import minhash
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.segmentation import Words

PROPOSED = 128  # texts that are verified
COPIES = 5  # exact copies that are named
FLOOR = (1, 10)  # Jaccard, as a fraction, below which a document is not near
COLUMNS = ["row_key", "text_hash", "signature"]
Rows: TypeAlias = tuple[Uint64, Uint64, Int64]  # row_key, text hash [n, 2], equal values


@dataclass(frozen=True)
class Near:
    """A document that is near the text.

    Attributes:
        row_key: its row.
        shared: distinct shingles in both.
        union: distinct shingles in either.
    """

    row_key: int
    shared: int
    union: int


@dataclass
class Proposals:
    """The different texts that are most likely near, and the exact copies of the text itself.

    Attributes:
        keys: row key of the first document of each proposed text.
        hashes: the text hash of each, in two halves.
        agree: how many values of its signature equal those of the text.
        copies: how many documents have that text.
        documents: how many documents were looked at.
        same: how many documents are exact copies of the text itself.
        named: row keys of the first few of these.
    """

    keys: Uint64 = field(default_factory=lambda: np.zeros(0, np.uint64))  # (texts,)
    hashes: Uint64 = field(default_factory=lambda: np.zeros((0, 2), np.uint64))  # (texts, 2)
    agree: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))  # (texts,)
    copies: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))  # (texts,)
    documents: int = 0
    same: int = 0
    named: list[int] = field(default_factory=list)

    def add(self, rows: Rows) -> None:
        """Add some documents, in the order of the corpus, and keep the best proposals.

        A text that was left out need not come back: the least agreement that is kept only rises,
        and documents of the same text agree equally.
        """
        keys, hashes, agree = rows
        least = self.agree.min() if self.agree.size == PROPOSED else 1
        likely = agree >= least
        if not likely.any():
            return
        keys = np.concatenate([self.keys, keys[likely]])
        hashes = np.concatenate([self.hashes, hashes[likely]])
        agree = np.concatenate([self.agree, agree[likely]])
        copies = np.concatenate([self.copies, np.ones(int(likely.sum()), np.int64)])
        _, first, which = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
        total = np.zeros(first.size, np.int64)
        np.add.at(total, which.reshape(-1), copies)
        best = np.lexsort((keys[first], -agree[first]))[:PROPOSED]
        chosen = first[best]
        self.keys, self.hashes, self.agree = keys[chosen], hashes[chosen], agree[chosen]
        self.copies = total[best]


def propose(
    data: bytes, words: Words, sketch: SketchConfig, paths: Sequence[Path], threads: int
) -> Proposals:
    """Return the documents that may be near a text, and its exact copies, in one pass.

    Args:
        data: the text in UTF-8.
        words: its words.
        sketch: the settings of the scan.
        paths: the files of the table `signatures`.
        threads: row groups that are looked at side by side.
    """
    digest = np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), np.uint64)
    offsets, hashes = text.shingles(words, sketch.shingle_words, sketch.seed)
    own = hashes
    if words.hashes.size >= sketch.shingle_words:
        count = sketch.bands * sketch.rows
        own = minhash.signatures(offsets, hashes, count, sketch.seed)[0]
    found = Proposals()
    places = chunk_places(paths)
    with ThreadPoolExecutor(threads) as pool:
        for keys, halves, agree in in_order(pool, threads, partial(_rows, own), places):
            same = np.all(halves == digest, axis=1)
            found.same += int(same.sum())
            found.named += keys[same][: COPIES - len(found.named)].tolist()
            found.documents += len(keys)
            found.add((keys[~same], halves[~same], agree[~same]))
    return found


def _rows(own: Uint64, place: tuple[Path, int]) -> Rows:
    """Return row_key, text hash and equal values of each document in a row group of `signatures`.

    Args:
        own: the signature of the text (uint32), or, of a text of fewer words than a shingle has,
            its only shingle (uint64).
        place: the row group.
    """
    table = read_group(*place, COLUMNS)
    keys = table["row_key"].to_numpy()
    agree = np.zeros(len(keys), np.int64)
    if not len(keys):
        return keys, np.zeros((0, 2), np.uint64), agree
    column = table["signature"].combine_chunks()
    if own.dtype == np.uint32:
        rows, values = signature_matrix(column, own.size)
        agree[rows] = lookup_kernels.agreements(values, own)
    else:
        rows, few = short_hashes(column)
        agree[rows] = few == own[0]
    return keys, _halves(table["text_hash"].combine_chunks()), agree


def _halves(column: pa.Array) -> Uint64:
    """Return the two 64-bit halves of each text hash, (documents, 2)."""
    raw = np.frombuffer(column.buffers()[1], np.uint64).reshape(-1, 2)
    return raw[column.offset : column.offset + len(column)]


def verified(own: Sets, keys: Uint64, words: Words, sketch: SketchConfig) -> list[Near]:
    """Return those of some documents that are near a text, compared shingle by shingle.

    Args:
        own: the shingle set of the text.
        keys: row keys of the documents, (documents,).
        words: their words.
        sketch: the settings of the scan.

    Raises:
        IntegrityError: When one hash stands for two shingles.
    """
    sets = shingle_sets(words, sketch)
    pairs = np.zeros((len(keys), 2), np.int64)
    pairs[:, 1] = np.arange(len(keys))
    shared = np.zeros(len(keys), np.int64)
    pair_kernels.intersections(
        pairs, own, sets, sketch.shingle_words, np.array(FLOOR, np.int64), shared
    )
    if np.any(shared == COLLISION):
        raise collision(sketch.seed)
    unions = np.diff(sets.sets) + own.hashes.size - shared
    return [
        Near(*row)
        for row in zip(keys.tolist(), shared.tolist(), unions.tolist(), strict=True)
        if row[1]
    ]
