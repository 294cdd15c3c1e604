"""Exact Jaccard of every candidate, on the words themselves.

Shingles are matched by their 64-bit hash and then compared letter by letter, so no hash decides
about a removal: two different shingles of one hash stop the run. The text of each candidate
document is read once more, its sorted shingles go to a spill file, and pairs are compared over
memory-mapped arrays in any order.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import pair_kernels, text
from pipeline.config import SketchConfig
from pipeline.corpus import read_documents
from pipeline.errors import IntegrityError
from pipeline.pair_kernels import COLLISION
from pipeline.progress import current
from pipeline.signatures import row_keys
from pipeline.stage import Receipt, Work
from pipeline.store import SPILL, read_batches, write_table
from schemas.pairs import PAIRS

VERSION = 1
PAIRS_AT_ONCE = 65_536


def at_least(threshold: float) -> tuple[int, int]:
    """Return (numerator, denominator) of a threshold as written.

    So that thresholds compare as integers. Nine decimals are kept, so that the product with a
    uint32 count fits an int64: 0.6666666666666667 means 2/3.
    """
    exact = Fraction(str(threshold)).limit_denominator(10**9)
    return exact.numerator, exact.denominator


@dataclass(frozen=True)
class ShingleSets:
    """The shingle sets of documents 0..n-1, spilled; all arrays are memory maps.

    sets int64[n+1] cuts hashes uint64 (sorted, distinct) and places uint32 (first word of the
    shingle). letters int64[n+1] cuts folded text uint8; words int64[n+1] cuts starts and ends
    uint32 of its words.
    """

    sets: np.ndarray
    hashes: np.ndarray
    places: np.ndarray
    letters: np.ndarray
    folded: np.ndarray
    words: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def pairs(work: Work) -> Receipt:
    """Reduce: verify each candidate; keep those at or above `near.count_threshold`."""
    wanted = _candidate_keys(work)
    tried = 0
    with (
        tempfile.TemporaryDirectory(prefix=SPILL, dir=work.folder) as spill,
        write_table(work.folder, "pairs", work.key, PAIRS) as out,
    ):
        sets = spill_sets(work, wanted, Path(spill))
        for a, b in _candidate_chunks(work):
            out.write(verified(sets, wanted, (a, b), work))
            tried += len(a)
            current().advance(tried, 0, "pairs verified")
    return Receipt((out.record,), tried, out.rows, {"candidates": tried, "pairs": out.rows})


def _candidate_chunks(work: Work) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for path in work.paths("candidates"):
        for batch in read_batches(path, ["a", "b"], PAIRS_AT_ONCE):
            yield batch["a"].to_numpy(), batch["b"].to_numpy()


def _candidate_keys(work: Work) -> np.ndarray:
    keys = [np.unique(np.concatenate(chunk)) for chunk in _candidate_chunks(work)]
    return np.unique(np.concatenate(keys)) if keys else np.zeros(0, np.uint64)


def verified(
    sets: ShingleSets, keys: np.ndarray, chunk: tuple[np.ndarray, np.ndarray], work: Work
) -> pa.Table:
    """Return the rows of `pairs` for one chunk of candidates, in its order."""
    a, b = (np.searchsorted(keys, side) for side in chunk)
    inter = np.zeros(len(a), np.int64)
    bounds = np.linspace(0, len(a), work.cores + 1).astype(np.int64)
    with ThreadPoolExecutor(work.cores) as threads:
        parts = [
            threads.submit(
                pair_kernels.intersections,
                a[i:j],
                b[i:j],
                work.config.sketch.shingle_words,
                sets.sets,
                sets.hashes,
                sets.places,
                sets.letters,
                sets.folded,
                sets.words,
                sets.starts,
                sets.ends,
                inter[i:j],
            )
            for i, j in pairwise(bounds)
        ]
        for part in parts:
            part.result()
    if np.any(inter == COLLISION):
        raise _collision(work.config.sketch)
    size_a, size_b = (np.diff(sets.sets)[side] for side in (a, b))
    union = size_a + size_b - inter
    top, bottom = at_least(work.config.near.count_threshold)
    near = np.flatnonzero((inter > 0) & (inter * bottom >= top * union))
    return pa.table(
        {
            "a": chunk[0][near],
            "b": chunk[1][near],
            "inter": inter[near].astype(np.uint32),
            "union": union[near].astype(np.uint32),
            "size_a": size_a[near].astype(np.uint32),
            "size_b": size_b[near].astype(np.uint32),
            "jaccard": inter[near] / union[near],
        }
    )


def spill_sets(work: Work, keys: np.ndarray, spill: Path) -> ShingleSets:
    """Write the shingle sets of the documents named by `keys` (sorted) to files in `spill`."""
    names = ("hashes", "places", "folded", "starts", "ends")
    sizes = np.zeros((3, len(keys)), np.int64)
    with _Files(spill, names) as files:
        for shard in work.shards:
            if not _holds(keys, shard.number):
                continue
            for batch in read_documents(shard, work.config.input):
                own = row_keys(shard.number, batch.rows)
                taken = np.flatnonzero(np.isin(own, keys))
                if len(taken):
                    place = np.searchsorted(keys, own[taken])
                    sizes[:, place] = _append_sets(
                        batch.texts.take(pa.array(taken)), work.config.sketch, files
                    )
    cuts = [np.concatenate([[0], np.cumsum(row)]) for row in sizes]
    kinds: tuple[type[np.generic], ...] = (np.uint64, np.uint32, np.uint8, np.uint32, np.uint32)
    maps = {name: _mapped(spill / name, kind) for name, kind in zip(names, kinds, strict=True)}
    return ShingleSets(
        cuts[0],
        maps["hashes"],
        maps["places"],
        cuts[1],
        maps["folded"],
        cuts[2],
        maps["starts"],
        maps["ends"],
    )


class _Files:
    """Open spill files by name."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self._open = {name: (folder / name).open("wb") for name in names}

    def append(self, name: str, values: np.ndarray) -> None:
        """Append an array's bytes."""
        self._open[name].write(np.ascontiguousarray(values).data)

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._open.values():
            stream.close()


def _append_sets(texts: pa.LargeStringArray, config: SketchConfig, files: _Files) -> np.ndarray:
    """Append the sets of a batch.

    Return int64[3, n]: shingles, folded bytes and words of each document.
    """
    words = text.words(texts, config.seed)
    offsets, hashes = text.shingles(words, config.shingle_words, config.seed)
    folded = text.folded(texts)
    distinct = np.zeros(len(texts), np.int64)
    places = np.zeros(len(hashes), np.uint32)
    kept = pair_kernels.distinct(
        offsets,
        hashes,
        places,
        distinct,
        config.shingle_words,
        folded.text_offsets,
        folded.bytes,
        folded.word_offsets,
        folded.starts,
        folded.ends,
    )
    if kept == COLLISION:
        raise _collision(config)
    files.append("hashes", hashes[:kept])
    files.append("places", places[:kept])
    files.append("folded", folded.bytes)
    files.append("starts", folded.starts)
    files.append("ends", folded.ends)
    return np.stack([distinct, np.diff(folded.text_offsets), np.diff(folded.word_offsets)])


def _mapped(path: Path, kind: type[np.generic]) -> np.ndarray:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.zeros(0, kind)
    return np.memmap(path, kind, "r")


def _collision(config: SketchConfig) -> IntegrityError:
    return IntegrityError(
        "Two different shingles have the same 64-bit hash, so their counts cannot be trusted.",
        where=f"sketch.seed = {config.seed}",
        fix=f"run again with --set sketch.seed={config.seed + 1}",
    )


def _holds(keys: np.ndarray, shard: int) -> bool:
    low, high = row_keys(shard, np.array([0, 2**40 - 1]))
    return bool(np.searchsorted(keys, low) < np.searchsorted(keys, high, "right"))
