"""The scan's own check: near copies planted from a sample of the corpus, in memory only.

Words of sampled documents are inserted, deleted, substituted and appended at known rates. The share
of the planted copies that the bands propose, by their exact Jaccard, is the recall of this run on
its own text. What is proposed is verified exactly, so nothing else can be missed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.config.sections import SketchConfig
from pipeline.scan.near.band_kernels import Bands
from pipeline.scan.near.crowd import first_code
from pipeline.scan.near.crowd_kernels import (
    LISTED,
    NONE,
    PER_ORDER,
    WITHIN,
    Crowd,
    codes_of,
    differing,
    sorting_key,
)
from pipeline.scan.near.crowd_kernels import WORDS as WORDS_OF_CODES
from pipeline.scan.pair_kernels import COLLISION, intersections
from pipeline.scan.shingle_sets import shingle_sets
from pipeline.scan.words import chunk_keys, chunk_places, collision, read_documents_of
from pipeline.text import minhash
from pipeline.text import segmentation as text
from pipeline.text.arrays import Flags, Int64, Uint32, Uint64
from pipeline.text.sorting import among

SAMPLED = 128  # documents, those of smallest hash: where chunks end must change nothing
WORDS = (20, 5_000)  # of a sampled document
EDITS = ("insert", "delete", "substitute", "append")
RATES = (0.005, 0.01, 0.02, 0.04, 0.08)
APPENDED = 10  # times the rate, since words at the end spoil fewer shingles


@dataclass
class PlantedCopies:
    """Planted copies of sampled documents, and whether the bands propose them.

    Attributes:
        of: place of the sampled document.
        row_key: its key.
        edit: what was done to its words.
        rate: edits per word.
        inter: shingles that the copy shares with its document, exact.
        union: shingles of both, exact.
        keys: band keys of the copy.
        codes: two bits of each value of its signature.
        starts: of each band, the code with which the order of its buckets begins.
        proposed: filled band by band.
        together: the copy is in a bucket with its document, which is crowded.
        close: and stands near it there.
    """

    of: Int64  # (copies,)
    row_key: Uint64  # (copies,)
    edit: list[str]
    rate: np.ndarray  # (copies,)
    inter: Int64  # (copies,)
    union: Int64  # (copies,)
    keys: Uint64  # (copies, bands)
    codes: Uint64  # (copies, WORDS)
    starts: Int64  # (bands,)
    proposed: np.ndarray = field(init=False)
    together: np.ndarray = field(init=False)
    close: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.proposed, self.together, self.close = np.zeros((3, len(self.of)), np.bool_)

    def meet(
        self,
        bands: Bands,
        b: int,
        buckets: tuple[Uint32, Int64],
        crowd: Crowd | None,
        gathered: tuple[Uint32, Uint64, Int64, Flags] | None,
    ) -> None:
        """Note which copies one band would propose with the document that they are made of.

        Args:
            bands: the bands of this pass.
            b: which of the bands.
            buckets: the members of its buckets, and where each ends.
            crowd: the crowded documents, if any.
            gathered: what `crowd_kernels.gather` returns for the band.
        """
        number = int(bands.numbers[b])
        same = bands.keys[b][self.of] == self.keys[:, number]
        if crowd is None or gathered is None:
            self.proposed |= same
            return
        place = crowd.place[self.of]
        self.proposed |= same & (place < 0)
        self.together |= same & (place >= 0)
        (members, ends), (_, keys, bounds, met) = buckets, gathered
        first = bands.keys[b][members[ends[:-1]]]  # ascending
        start = int(self.starts[number])
        for copy in np.flatnonzero(same & (place >= 0) & ~self.close).tolist():
            bucket = int(np.searchsorted(first, self.keys[copy, number]))
            if bucket < len(first) and not met[bucket]:
                continue
            own = keys[bounds[bucket] : bounds[bucket + 1]] if bucket < len(first) else keys[:0]
            pair = [
                sorting_key(self.codes, copy, start),
                sorting_key(crowd.codes, int(place[copy]), start),
            ]
            apart = abs(int(np.diff(np.searchsorted(own, np.array(pair, np.uint64)))[0]))
            self.close[copy] = apart <= max(WITHIN, crowd.near.shape[1])

    def meet_crowd(self, crowd: Crowd) -> None:
        """Note which copies would meet their crowded document, or one that stands for it.

        A copy stands near its document in a band and is near enough to enter its list of the
        nearest, or it is in a bucket with it and like the hubs that its document has.
        """
        for copy in np.flatnonzero(self.together).tolist():
            own = int(crowd.place[self.of[copy]])
            distance = differing(self.codes, copy, crowd.codes, own)
            listed = self.close[copy] and distance <= min(crowd.apart[0], crowd.distance[own].max())
            hubs = crowd.hubs[own][np.arange(crowd.hubs.shape[1]) % PER_ORDER >= LISTED]
            alike = [
                differing(self.codes, copy, crowd.codes, own if hub == NONE else int(hub))
                for hub in np.unique(hubs).tolist()
            ]
            self.proposed[copy] |= bool(listed or min(alike) <= crowd.apart[1])

    def bins(self) -> list[dict[str, float]]:
        """Return planted and proposed copies by tenths of their exact Jaccard, from 0.5 on."""
        tenth = np.minimum(10 * self.inter // np.maximum(1, self.union), 9)
        return [
            {
                "from": low / 10,
                "planted": int(np.sum(tenth == low)),
                "proposed": int(np.sum(self.proposed[tenth == low])),
            }
            for low in range(5, 10)
        ]

    def table(self) -> pa.Table:
        """Return the rows of the table `audit`."""
        return pa.table(
            {
                "row_key": self.row_key,
                "edit": self.edit,
                "rate": self.rate,
                "inter": self.inter,
                "union": self.union,
                "jaccard": self.inter / np.maximum(1, self.union),
                "proposed": self.proposed,
            }
        )


def plant(
    paths: list[Path], keys: Uint64, low: Uint64, words: Int64, config: SketchConfig
) -> PlantedCopies:
    """Return edited copies of documents that are sampled from the files of `words`.

    Args:
        paths: the files.
        keys: row_key of the documents that have a signature, ascending.
        low: 64 bits of their text hashes.
        words: how many each has.
        config: the settings of the sketch.

    Raises:
        IntegrityError: When two different shingles have the same hash.
    """
    of: list[int] = []
    edits: list[str] = []
    rates: list[float] = []
    texts: list[Uint64] = []  # the words of each sampled document, then those of its copies
    chosen = _chosen(low, words)
    sampled = _sampled(paths, keys, chosen)
    others = np.concatenate([np.zeros(0, np.uint64), *(sampled[p] for p in chosen.tolist())])
    for rank, place in sorted(enumerate(chosen.tolist()), key=lambda pair: pair[1]):
        original = sampled[place]
        texts.append(original)
        for turn, edit in enumerate(EDITS):
            rate = RATES[(rank + turn) % len(RATES)]
            rate *= APPENDED if edit == "append" else 1
            draw = np.random.default_rng([config.seed, int(low[place] >> np.uint64(1)), turn])
            texts.append(_edited(original, others, edit, rate, draw))
            of.append(place)
            edits.append(edit)
            rates.append(rate)
    places = np.array(of, np.int64)
    batch = _batch(texts)
    sets = shingle_sets(batch, config)
    group = len(EDITS) + 1
    copies = np.flatnonzero(np.arange(len(texts)) % group)
    pairs = np.stack([copies - copies % group, copies], axis=1)
    inter = np.zeros(len(pairs), np.int64)
    intersections(pairs, sets, sets, config.shingle_words, np.array([1, 10**9]), inter)
    if np.any(inter == COLLISION):
        raise collision(config.seed)
    union = np.diff(sets.sets)[pairs].sum(axis=1) - inter
    values = minhash.signatures(sets.sets, sets.hashes, config.bands * config.rows, config.seed)
    band_keys = minhash.band_keys(values[copies], config.bands, config.rows)
    codes = np.zeros((len(copies), WORDS_OF_CODES), np.uint64)
    codes_of(values[copies], codes)
    starts = np.array([first_code(band, config) for band in range(config.bands)], np.int64)
    return PlantedCopies(
        places, keys[places], edits, np.array(rates), inter, union, band_keys, codes, starts
    )


def _batch(texts: list[Uint64]) -> text.Words:
    """Return texts, each given as its word hashes, as one batch without positions."""
    none = np.zeros(0, np.uint32)
    offsets = np.cumsum([0, *(len(words) for words in texts)])
    return text.Words(offsets, np.concatenate([np.zeros(0, np.uint64), *texts]), none, none)


def _chosen(low: Uint64, words: Int64) -> Int64:
    """Return the places of the documents to sample: those of smallest hash, in its order."""
    fit = np.flatnonzero((words >= WORDS[0]) & (words <= WORDS[1]))
    return fit[np.argsort(low[fit], kind="stable")[:SAMPLED]]


def _sampled(paths: list[Path], keys: Uint64, chosen: Int64) -> dict[int, Uint64]:
    """Return the words of the chosen documents by their places among `keys`."""
    wanted = np.sort(keys[chosen])
    found: dict[int, Uint64] = {}
    for place in chunk_places(paths):
        rows = np.flatnonzero(among(chunk_keys(place), wanted))
        if not len(rows):
            continue
        chunk = read_documents_of(place, rows)
        offsets = chunk.words.offsets
        for document, key in enumerate(chunk.keys):
            words = chunk.words.hashes[offsets[document] : offsets[document + 1]]
            found[int(np.searchsorted(keys, key))] = words.copy()
    return found


def _edited(
    words: Uint64, others: Uint64, edit: str, rate: float, draw: np.random.Generator
) -> Uint64:
    """Return the words after `rate` edits a word, at least one; new words come from `others`."""
    count = max(1, round(rate * len(words)))
    new = others[draw.integers(0, len(others), count)]
    if edit == "append":
        return np.concatenate([words, new])
    at = draw.choice(len(words), min(count, len(words) - 1), replace=False)
    if edit == "delete":
        return np.delete(words, at)
    if edit == "insert":
        return np.insert(words, at, new[: len(at)])
    changed = words.copy()
    changed[at] = new[: len(at)]
    return changed
