"""Find the bytes that the rule `cut-spans` cuts out of the documents that stay.

Windows are counted again among the rows that stay, in the order of shard path and row, rows that no
rule may change first. The words of each window's first occurrence are protected, and words that
only later occurrences cover are cut. So each repeated window still occurs, whole. An equal hash of
a window is no proof: the words of every later occurrence are compared with those of the first, by
BLAKE2b of their hashes, and the scan compared the letters of every word with its hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline.config.policy import DROPS, MASKS
from pipeline.config.sections import Config
from pipeline.engine.parts import in_order
from pipeline.engine.stage import Work
from pipeline.engine.tables import conform, read_keys
from pipeline.filter.rules import cut_kernels
from pipeline.scan.words import ChunkPlace, chunk_places, collision, read_chunk
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.sorting import order_of
from schemas.filter.decisions import CUTS
from schemas.scan.spans import SPANS

SPAN_COLUMNS = ("row_key", "start_byte", "words")


@dataclass(frozen=True)
class Cut:
    """What the rule cuts, and which documents it removes.

    Attributes:
        ranges: the rows of the table `cuts`.
        short: keys of the documents that are removed since too few words would be left.
        facts: counts for the manifest.
    """

    ranges: pa.Table
    short: Uint64  # (documents,)
    facts: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def nothing() -> Cut:
        """Return no cuts."""
        return Cut(CUTS.empty_table(), np.zeros(0, np.uint64))


@dataclass(frozen=True)
class Order:
    """The rows that stay, in the order in which the first occurrence of a window is looked for.

    Attributes:
        keys: row keys, sorted.
        rank: the place of each row in the order.
        spared: how many rows are never cut; they have the first ranks.
    """

    keys: Uint64  # (rows,)
    rank: Int64  # (rows,)
    spared: int


Windows = tuple[np.ndarray, np.ndarray, np.ndarray]  # hash, rank of the document, first word


def cuts(work: Work, state: pl.DataFrame) -> Cut:
    """Return what is cut out of the documents that no rule has removed.

    Memory follows the windows of repeated spans in the rows that stay, some 40 bytes each.

    Args:
        work: the unit of work of the decisions.
        state: the documents as `rules.decide` leaves them, with shard and row.

    Raises:
        IntegrityError: When one hash stands for two windows.
    """
    policy, size = work.config.policy, work.config.window.words
    order = order_of_rows(state)
    places = chunk_places(work.paths("words"))
    with ThreadPoolExecutor(work.cores) as threads:
        read = partial(windows_in, work, order)
        parts = list(in_order(threads, work.cores, read, places))
        hashes, documents, words = _joined(parts)
        del parts
        kinds, first = np.empty(words.size, np.uint8), np.empty(words.size, np.int64)
        cut_kernels.first_and_later(hashes, order_of(hashes, 0), kinds, first)
        same = cut_kernels.segments(documents, words, kinds, first)
        runs = cut_kernels.words_to_cut(documents, words, kinds, size, policy.cut == "all")
        runs = runs[runs[:, 0] >= order.spared]
        del hashes, documents, words, kinds, first
        made = partial(_cut_chunk, work, order, runs, same)
        digests: dict[tuple[int, int], bytes] = {}
        tables = []
        for table, own in in_order(threads, work.cores, made, places):
            tables.append(table)
            digests.update(own)
    _require_same_words(same, digests, work.config)
    ranges = pa.concat_tables([CUTS.empty_table(), *tables]).sort_by(
        [("row_key", "ascending"), ("start_byte", "ascending")]
    )
    return _without_short(ranges, state, work.config)


def order_of_rows(state: pl.DataFrame) -> Order:
    """Return the order of the rows that stay: spared ones first, then by shard path and row."""
    standing = state.filter(pl.col("rule").is_null()).select(
        "row_key", "shard", "row", free=~pl.col("spared") & pl.col("cut-spans")
    )
    placed = standing.sort("free", "shard", "row").with_row_index("rank").sort("row_key")
    spared = int((~standing["free"]).sum())
    return Order(placed["row_key"].to_numpy(), placed["rank"].to_numpy().astype(np.int64), spared)


def windows_in(work: Work, order: Order, place: ChunkPlace) -> Windows:
    """Return the windows of the repeated spans of one chunk, in documents that stay."""
    chunk = read_chunk(place, positions=True)
    none = np.zeros(0, np.uint64), np.zeros(0, np.uint32), np.zeros(0, np.uint32)
    if not chunk.keys.size:
        return none
    low, high = (int(key) for key in chunk.keys[[0, -1]])
    found = list(read_keys(work.paths("spans"), SPANS, SPAN_COLUMNS, low, high))
    spans = pa.concat_tables(
        [pa.schema([SPANS.field(n) for n in SPAN_COLUMNS]).empty_table(), *found]
    )
    ranks = _ranks(order, chunk.keys)
    documents = np.searchsorted(chunk.keys, spans["row_key"].to_numpy())
    staying = ranks[documents] >= 0 if documents.size else np.zeros(0, np.bool_)
    if not staying.any():
        return none
    size = work.config.window.words
    bounds, hashes = text.runs(chunk.words, size, work.config.sketch.seed)
    begins, words = (spans[name].to_numpy()[staying] for name in ("start_byte", "words"))
    found_hashes, document, word = cut_kernels.windows_of(
        documents[staying],
        begins,
        words,
        chunk.words.offsets,
        chunk.words.starts,
        bounds,
        hashes,
        size,
    )
    return found_hashes, ranks[document].astype(np.uint32), word


def _ranks(order: Order, keys: Uint64) -> Int64:
    """Return the rank of each document, -1 for one that does not stay."""
    if not order.keys.size:
        return np.full(keys.size, -1)
    place = np.minimum(np.searchsorted(order.keys, keys), order.keys.size - 1)
    return np.where(order.keys[place] == keys, order.rank[place], -1)


def _joined(parts: list[Windows]) -> Windows:
    """Return the windows of all chunks in order of rank and word."""
    none = (np.zeros(0, np.uint64), np.zeros(0, np.uint32), np.zeros(0, np.uint32))
    hashes, documents, words = (
        np.concatenate([none[k], *(part[k] for part in parts)]) for k in range(3)
    )
    if np.all(documents[1:] >= documents[:-1]):
        return hashes, documents, words
    order = np.argsort(documents, kind="stable")
    return hashes[order], documents[order], words[order]


def _cut_chunk(
    work: Work, order: Order, runs: Int64, same: Int64, place: ChunkPlace
) -> tuple[pa.Table, dict[tuple[int, int], bytes]]:
    """Return the cuts of one chunk in bytes, and digests of the words of segments in it.

    Args:
        work: the unit of work.
        order: the rows that stay.
        runs: the words to cut, as `cut_kernels.words_to_cut` returns them, (runs, 3).
        same: later occurrences and their first ones, as `cut_kernels.segments` returns them.
        place: the chunk.
    """
    chunk = read_chunk(place, positions=True)
    ranks = _ranks(order, chunk.keys)
    offsets, words = chunk.words.offsets, chunk.words
    at = np.full(order.keys.size, -1)
    at[ranks[ranks >= 0]] = np.flatnonzero(ranks >= 0)
    rows = []
    for rank, first, last in runs[at[runs[:, 0]] >= 0].tolist():
        document = int(at[rank])
        begin, end = offsets[document : document + 2].tolist()
        low, high = apart(words.starts[begin:end], words.ends[begin:end], first, last)
        if high > low:
            key, start = chunk.keys[document], words.starts[begin + low]
            rows.append((key, start, words.ends[begin + high - 1], high - low))
    columns = [np.array([row[k] for row in rows], np.uint64) for k in range(4)]
    nothing = pa.nulls(len(rows), pa.string())
    values = [columns[0], *(column.astype(np.int64) for column in columns[1:]), nothing]
    return conform(pa.table(values, CUTS.names), CUTS), dict(
        _digests(words.hashes, offsets, at, same, work.config.window.words)
    )


def apart(starts: np.ndarray, ends: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """Return a cut of words [first, last) made smaller so that it joins no two words into one.

    Where the words on both sides touch it, as in scripts without spaces, it begins or ends at a gap
    between two words inside it, whichever cuts more.
    """
    if first == 0 or last == len(starts):
        return first, last
    gaps = 1 + first + np.flatnonzero(starts[first + 1 : last] > ends[first : last - 1])
    if ends[first - 1] < starts[first] or ends[last - 1] < starts[last]:
        return first, last
    if not gaps.size:
        return first, first
    low, high = int(gaps[0]), int(gaps[-1])
    return (first, high) if high - first >= last - low else (low, last)


def _digests(
    hashes: Uint64, offsets: Int64, at: np.ndarray, same: Int64, size: int
) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield (segment, side) and the digest of its words, for the documents of one chunk.

    Side 0 is the later occurrence, side 1 the first one. A Python loop per segment takes 3 us each.
    """
    for side, column in enumerate((0, 2)):
        here = np.flatnonzero(at[same[:, column]] >= 0)
        for number, row in zip(here.tolist(), same[here].tolist(), strict=True):
            begin = int(offsets[at[row[column]]]) + row[column + 1]
            data = hashes[begin : begin + row[4] + size - 1].tobytes()
            yield (number, side), hashlib.blake2b(data, digest_size=16).digest()


def _require_same_words(same: Int64, digests: dict[tuple[int, int], bytes], config: Config) -> None:
    """Refuse a later occurrence whose words differ from those of the first one.

    Raises:
        IntegrityError: When they differ, so that one hash stands for two windows.
    """
    for number in range(len(same)):
        if digests[number, 0] != digests[number, 1]:
            raise collision(config.sketch.seed)


def _without_short(ranges: pa.Table, state: pl.DataFrame, config: Config) -> Cut:
    """Return the cuts without those of documents that would be left with too few words.

    By `policy.cut_short` such a document is left whole or removed; a keeper is never removed.
    """
    policy = config.policy
    rows = pl.from_arrow(ranges)
    assert isinstance(rows, pl.DataFrame)  # noqa: S101 - narrows the union that from_arrow declares
    whole = state.select("row_key", pl.col("words").alias("had"))
    left = (
        rows.group_by("row_key")
        .agg(pl.col("words").sum())
        .join(whole, on="row_key")
        .sort("row_key")
    )
    short = left.filter(pl.col("had") - pl.col("words") < policy.cut_minimum)["row_key"]
    if policy.cut == MASKS:
        short = short.clear()
    named = state.filter(pl.col("rule").is_not_null())["stands"].drop_nulls()
    going = short.filter(~short.is_in(named.implode()))
    if policy.cut_short != DROPS:
        going = going.clear()
    kept = ranges.filter(pa.array(~rows["row_key"].is_in(short.implode()).to_numpy()))
    facts = {
        "cut": {
            "documents": len(set(kept["row_key"].to_pylist())),
            "ranges": kept.num_rows,
            "words": sum(kept["words"].to_pylist()),
            "bytes": sum(kept["end_byte"].to_pylist()) - sum(kept["start_byte"].to_pylist()),
            "too_short_and_left": short.len() - going.len(),
            "too_short_and_dropped": going.len(),
        }
    }
    return Cut(kept, going.to_numpy(), facts)
