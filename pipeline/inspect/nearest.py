"""Which documents are near one text: proposed by signature, verified on the words.

The estimate of a Jaccard is the share of equal MinHash values, and sharing a band adds nothing to
it; the best of all documents are verified. Exact copies of one another count as one text, so that a
text of a thousand copies takes one place. Memory follows a row group and the texts proposed.
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
from pipeline.engine.tables import read_group
from pipeline.inspect import lookup_kernels
from pipeline.scan import pair_kernels
from pipeline.scan.pair_kernels import COLLISION, Sets
from pipeline.scan.shingle_sets import shingle_sets
from pipeline.scan.signatures import short_hashes, signature_matrix
from pipeline.scan.words import chunk_places, collision, in_order
from pipeline.text import minhash
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.segmentation import Words

PROPOSED = 128  # texts that are verified
COPIES = 5  # exact copies that are named
FLOOR = (1, 10)  # Jaccard below which a document is not near
COLUMNS = ["row_key", "text_hash", "signature"]
Rows: TypeAlias = tuple[Uint64, Uint64, Int64]  # row_key, text hash [n, 2], equal values


@dataclass(frozen=True)
class Near:
    """A document and the distinct shingles that it shares with the text, of those in either."""

    row_key: int
    shared: int
    union: int


@dataclass
class Proposals:
    """The likeliest different texts, and the exact copies of the text itself.

    keys, hashes, agree, copies: first document of each text, its text hash, equal values, documents
    of those bytes. same: exact copies; named: the first of them.
    """

    keys: Uint64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    hashes: Uint64 = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    agree: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    copies: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    documents: int = 0
    same: int = 0
    named: list[int] = field(default_factory=list)

    def add(self, rows: Rows) -> None:
        """Take in some rows, in order of the corpus.

        What is left out never comes back: the least that is held only rises, and equal bytes agree
        equally.
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
    """Go through `signatures` once for documents that may be near a text, and its exact copies."""
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
    """Return the rows of one row group of `signatures`.

    own: a signature (uint32), or the only shingle of a text of fewer words than one has (uint64).
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
    raw = np.frombuffer(column.buffers()[1], np.uint64).reshape(-1, 2)
    return raw[column.offset : column.offset + len(column)]


def verified(own: Sets, keys: Uint64, words: Words, sketch: SketchConfig) -> list[Near]:
    """Return those of some documents that are near a text, compared shingle by shingle."""
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
