"""The pass of an audit: all texts are held against each chunk of the words of a corpus, once.

Memory follows the texts and a chunk of words for each thread. A stretch of words that many
documents repeat is gone through once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.config.sections import SketchConfig
from pipeline.engine.parts import in_order
from pipeline.engine.progress import current
from pipeline.matching import match_kernels
from pipeline.matching.asked import Asked
from pipeline.matching.match_kernels import Marks
from pipeline.matching.search import (
    NOBODY,
    Best,
    chunk_of,
    found_runs,
    nearest,
    spoken,
    stretches,
)
from pipeline.scan.words import ChunkPlace
from pipeline.text.arrays import Int32, Int64, Uint64


@dataclass(frozen=True)
class Shared:
    """What a corpus has of some texts.

    Attributes:
        covered: words of each text in runs that occur.
        longest: words of the longest run of each that occurs.
        counts: occurrences of the run of each that occurs most.
        best: the nearest documents.
        held_out: the nearest other documents of some texts of the corpus itself.
    """

    covered: Int64  # (texts,)
    longest: Int64  # (texts,)
    counts: Int64  # (texts,)
    best: Best
    held_out: Best


@dataclass(frozen=True)
class HeldOut:
    """Texts of the corpus itself, of which each is left out when its nearest document is sought.

    Attributes:
        asked: the texts.
        keys: the document that each is of.
    """

    asked: Asked
    keys: Uint64  # (texts,)


@dataclass(frozen=True)
class _Found:
    """What one chunk has.

    Attributes:
        groups: by words of a run: the groups that occur, and how often.
        stretches: the windows of each stretch.
        best: the nearest documents of the texts.
        held_out: those of the texts of the corpus.
    """

    groups: dict[int, tuple[Int32, Int64]]
    stretches: list[Int32]
    best: Best
    held_out: Best


def shared(
    asked: Asked,
    held_out: HeldOut,
    places: Sequence[ChunkPlace],
    sketch: SketchConfig,
    threads: int,
) -> Shared:
    """Return what the documents of all chunks have of some texts, in one pass.

    Args:
        asked: the texts.
        held_out: texts of the corpus itself.
        places: the chunks.
        sketch: the settings of the scan.
        threads: chunks that are searched side by side.

    Raises:
        IntegrityError: When one hash stands for two words, shingles or runs.
    """
    counts = {size: np.zeros(table.last.size, np.int64) for size, table in asked.runs.items()}
    marks, step, met = _marks(asked), 0, set[bytes]()
    best, others = Best.none(asked.texts), Best.none(held_out.asked.texts)
    search = partial(_look, asked, held_out, sketch)
    with ThreadPoolExecutor(threads) as pool:
        for done, found in enumerate(in_order(pool, threads, search, places)):
            for size, (groups, times) in found.groups.items():
                counts[size][groups] += times
            for stretch in found.stretches:
                digest = hashlib.blake2b(stretch.tobytes(), digest_size=16).digest()
                if digest not in met:
                    met.add(digest)
                    step = match_kernels.extend(stretch, asked.runs[asked.size], marks, step + 1)
            best, others = best.or_better(found.best), others.or_better(found.held_out)
            current().advance(done + 1, len(places), "chunks of words")
    return _summed(asked, marks, counts, best, others)


def _marks(asked: Asked) -> Marks:
    runs = asked.runs[asked.size].hashes.size if asked.size in asked.runs else 0
    return Marks(
        np.zeros(asked.words.hashes.size, np.bool_),
        np.zeros(asked.texts, np.int64),
        np.zeros(runs, np.int64),
        np.zeros(runs, np.int64),
    )


def _look(asked: Asked, held_out: HeldOut, sketch: SketchConfig, place: ChunkPlace) -> _Found:
    """Return what one chunk has of the texts."""
    chunk = chunk_of(asked, place, sketch, positions=False)
    groups: dict[int, tuple[Int32, Int64]] = {}
    met: list[Int32] = []
    for size, table in asked.runs.items():
        said = spoken(chunk.words, size, sketch.seed)
        found = found_runs(said, table, sketch.seed)
        groups[size] = np.unique(found[found >= 0], return_counts=True)
        if size == asked.size:
            met = [found[low:high].copy() for low, high in stretches(said, found).tolist()]
    nobody = np.full(asked.texts, NOBODY)
    best = nearest(asked, chunk, sketch, nobody)
    others = Best.none(0)
    if held_out.keys.size:
        others = nearest(held_out.asked, chunk, sketch, held_out.keys)
    return _Found(groups, met, best, others)


def _summed(
    asked: Asked, marks: Marks, counts: dict[int, Int64], best: Best, others: Best
) -> Shared:
    """Return what was found, text by text."""
    offsets = asked.words.offsets
    covered = np.diff(np.concatenate([[0], np.cumsum(marks.covered)])[offsets])
    longest, most = marks.longest.copy(), np.zeros(asked.texts, np.int64)
    for size, table in asked.runs.items():
        group = np.empty(table.hashes.size, np.int64)
        _spread(group, table.last, table.former)
        np.maximum.at(most, table.texts, counts[size][group])
        if size < asked.size:
            occurs = table.texts[counts[size][group] > 0]
            covered[occurs] = longest[occurs] = size
    return Shared(covered, longest, most, best, others)


def _spread(group: Int64, last: Int64, former: Int64) -> None:
    """Write the group of each run, following each group's runs from its last one."""
    runs, numbers = last.copy(), np.arange(last.size)
    while runs.size:
        group[runs] = numbers
        runs = former[runs]
        numbers, runs = numbers[runs >= 0], runs[runs >= 0]
