"""The table `taught`: what the proxies of a run were taught, wherever these texts are now.

Proxies are kept while the corpus changes little, so how often they were taught a sequence is
counted in what is remembered here and never in the corpus of now. Words are stored as hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.engine.stage import Work
from pipeline.scan.words import chunk_keys, chunk_places, read_chunk
from pipeline.score.sequences.catalogue import Catalogue
from pipeline.score.sequences.occurrence_kernels import count_runs
from pipeline.score.sequences.occurrences import distinct_runs
from pipeline.score.sequences.sampling import BYTES_PER_TOKEN, Sample
from pipeline.score.sequences.training_rows import Text, TrainingRows
from pipeline.text.arrays import Flags, Int64, Uint64
from pipeline.text.sorting import among
from schemas.score.taught import TAUGHT

HALVES = 2


@dataclass(frozen=True)
class Lesson:
    """The texts that were read for a training, in order of text_key, each once.

    Attributes:
        text_key: first 8 bytes of the text hash, ascending, (texts,).
        text_bytes: size of each, (texts,).
        tokens: of each, (texts,).
        chosen: copies that were chosen for the sample by bytes, (texts,).
        copies: of each that an epoch teaches, (texts,).
        half: 0 or 1, of each, (texts,).
        planted: whether passages of it are planted, (texts,).
        offsets: text t has words[offsets[t]:offsets[t + 1]], (texts + 1,).
        words: hashes of the words of those that are taught, (words,).
        frequency: how often each token is in all of them, (vocabulary,).
    """

    text_key: Uint64
    text_bytes: Int64
    tokens: Int64
    chosen: Int64
    copies: Int64
    half: Int64
    planted: Flags
    offsets: Int64
    words: Uint64
    frequency: Int64

    @property
    def bytes_per_token(self) -> float:
        """The mean bytes of a token in them."""
        tokens = int(self.tokens.sum())
        return int(self.text_bytes.sum()) / tokens if tokens else BYTES_PER_TOKEN

    def place_of(self, known: Catalogue) -> Int64:
        """Return which of these texts each document has, -1 for none, (documents,)."""
        place = np.searchsorted(self.text_key, known.text_key)
        found = np.append(self.text_key, np.uint64(0))[place] == known.text_key
        return np.where(found & (place < len(self.text_key)), place, -1)

    def copies_by_half(self, known: Catalogue) -> Int64:
        """Return how often an epoch teaches each document's text to each half, (documents, 2)."""
        place = self.place_of(known)
        taught = np.zeros((len(place), HALVES), np.int64)
        own = np.flatnonzero(place >= 0)
        taught[own, self.half[place[own]]] = self.copies[place[own]]
        return taught

    def families(self, known: Catalogue, *, planted: bool) -> Flags:
        """Return which families hold a text that was taught, or one that is planted, (families,).

        Args:
            known: the documents.
            planted: which of the two.
        """
        return families_with(known, self.text_key[self.planted if planted else self.copies > 0])


def families_with(known: Catalogue, text_keys: Uint64) -> Flags:
    """Return which families hold one of some texts, (families,)."""
    found = np.zeros(len(known.family_key), np.bool_)
    found[known.family[np.isin(known.text_key, text_keys)]] = True
    return found


def lesson_of(
    work: Work,
    known: Catalogue,
    sample: Sample,
    texts: Mapping[int, Text],
    learnt: TrainingRows,
    vocabulary: int,
) -> Lesson:
    """Return what a training is about to teach.

    Args:
        work: of the stage, for the table `words`.
        known: the documents.
        sample: the families that were read; other texts are those whose passages are planted.
        texts: what was read, by number of the document.
        learnt: the rows of the sample.
        vocabulary: number of tokens.
    """
    numbers = np.array(sorted(texts), np.int64)
    numbers = numbers[np.argsort(known.text_key[numbers], kind="stable")]
    chosen = np.where(np.isin(known.family, sample.families), sample.copies, 0)[numbers]
    copies, half = (np.zeros(len(known.row_key), np.int64) for _ in range(2))
    copies[learnt.documents], half[learnt.documents] = learnt.copies, learnt.half
    frequency = np.zeros(vocabulary, np.int64)
    for text in texts.values():
        frequency += np.bincount(text.encoded.tokens, minlength=vocabulary)
    sizes = [len(texts[number].encoded.tokens) for number in numbers.tolist()]
    own = _words(work, known.row_key[numbers], copies[numbers] > 0)
    return Lesson(
        known.text_key[numbers],
        known.text_bytes[numbers],
        np.array(sizes, np.int64),
        chosen,
        copies[numbers],
        half[numbers],
        chosen == 0,
        np.cumsum([0, *map(len, own)], dtype=np.int64),
        np.concatenate([np.zeros(0, np.uint64), *own]),
        frequency,
    )


def _words(work: Work, keys: Uint64, wanted: Flags) -> list[Uint64]:
    """Return the word hashes of some documents, of others none, in the order of their keys."""
    found = [np.zeros(0, np.uint64)] * len(keys)
    place = {int(keys[number]): number for number in np.flatnonzero(wanted).tolist()}
    sought = np.sort(keys[wanted])
    for chunk_place in chunk_places(work.paths("words")):
        if not among(chunk_keys(chunk_place), sought).any():
            continue
        chunk = read_chunk(chunk_place)
        for document in np.flatnonzero(among(chunk.keys, sought)).tolist():
            first, last = chunk.words.offsets[document : document + 2]
            found[place[int(chunk.keys[document])]] = chunk.words.hashes[first:last].copy()
    return found


def taught_table(lesson: Lesson) -> pa.Table:
    """Return the rows of `taught`."""
    columns = {name: getattr(lesson, name) for name in TAUGHT.names if name != "words"}
    words = pa.LargeListArray.from_arrays(
        pa.array(lesson.offsets), pa.array(lesson.words), type=TAUGHT.field("words").type
    )
    return pa.table({**columns, "words": words})


def read_lesson(table: pa.Table, frequency: Int64) -> Lesson:
    """Return what a training taught.

    Args:
        table: the rows of `taught`.
        frequency: how often each token is in all of its texts, (vocabulary,).
    """
    columns = {
        name: table[name].to_numpy(zero_copy_only=False) for name in TAUGHT.names if name != "words"
    }
    lists = [part for part in table["words"].chunks if len(part)]
    sizes = [np.diff(part.offsets.to_numpy()) for part in lists]
    words = [part.flatten().to_numpy() for part in lists]
    offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *sizes]), dtype=np.int64)
    return Lesson(
        **columns,
        offsets=offsets,
        words=np.concatenate([np.zeros(0, np.uint64), *words]),
        frequency=frequency,
    )


def times_taught(lesson: Lesson, runs: list[bytes]) -> Int64:
    """Return how often an epoch teaches each run of words to each half, (runs, 2).

    Zeros for a run without words.

    Args:
        lesson: what was taught.
        runs: word hashes of each, as bytes.
    """
    place, index, count = distinct_runs(runs)
    found = np.zeros((count + 1, HALVES), np.int64)
    if index is None:
        return found[place]
    taught = np.flatnonzero(lesson.copies)
    for half, copies in sorted({*zip(lesson.half[taught], lesson.copies[taught], strict=True)}):
        own = taught[(lesson.half[taught] == half) & (lesson.copies[taught] == copies)]
        offsets = np.cumsum([0, *np.diff(lesson.offsets)[own]], dtype=np.int64)
        parts = [lesson.words[lesson.offsets[t] : lesson.offsets[t + 1]] for t in own.tolist()]
        once = np.zeros((count + 1, 1), np.int64)
        count_runs(index, offsets, np.concatenate(parts), np.zeros(len(own), np.int64), once)
        found[:, half] += copies * once[:, 0]
    return found[place]


def changed_share(known: Catalogue, sample: Sample, lesson: Lesson) -> float:
    """Return how much of what was chosen for a training is gone or would be other text now.

    By bytes, as a share of what was chosen then: what would no longer be taught or what would be
    taught besides, whichever is more.

    Args:
        known: the documents.
        sample: the families that would be chosen now.
        lesson: what was chosen then.
    """
    now = np.where(np.isin(known.family, sample.families), sample.copies, 0)
    place = lesson.place_of(known)
    own = np.flatnonzero((place >= 0) & known.first)
    left = np.zeros(len(lesson.text_key), np.int64)
    left[place[own]] = now[own]
    before = int((lesson.chosen * lesson.text_bytes).sum())
    out = int((np.maximum(lesson.chosen - left, 0) * lesson.text_bytes).sum())
    more = int((np.maximum(left - lesson.chosen, 0) * lesson.text_bytes).sum())
    new = np.flatnonzero((place < 0) & (now > 0))
    more += int((now[new] * known.text_bytes[new]).sum())
    return max(out, more) / max(1, before)
