"""Which items the documents of a chunk hold, by the rules of `decontaminate`, and where.

Rules, the surest first: `run` (runs of `words` words cover the stated share of the field), `whole`
(all words of a short field, in order), `near` (a near copy of the field), `contained` (the stated
share of its shingles). A field that is too short to be found alone is told where another field of
its item was found, as `beside`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.config.sections import Config
from pipeline.matching.asked import Asked
from pipeline.matching.search import alike, found_runs, held, spoken
from pipeline.scan.shingle_sets import at_least
from pipeline.scan.words import Chunk
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.segmentation import Words

RULES = ("run", "whole", "near", "contained", "beside")
CERTAINTIES = ("all", "most", "part")
NEVER = (2, 1)  # a share that none reaches
MOST = (4, 5)  # of a field, that is most of it
Range = tuple[int, int, int, int]  # document, first byte, past the last one, words


@dataclass(frozen=True)
class Held:
    """What the documents of a chunk hold of the fields, by document and then by certainty.

    Attributes:
        of_rows: `document`, its place in the chunk, and `text`, the number of the field.
        columns: the columns of `contaminated` that are known of each.
    """

    of_rows: dict[str, Int64]
    columns: dict[str, pa.Array]


@dataclass
class _Match:
    """A field that a document holds.

    Attributes:
        rule: how it was found.
        matched: words of the field that the document has.
        longest: words of the longest run of both.
        first: the first word in the document.
        past: one past the last word.
        shared: distinct shingles in both; None where they were not compared.
        either: those in either.
        inside: words of the field in shared shingles; 0 where they were not compared.
    """

    rule: str
    matched: int
    longest: int
    first: int
    past: int
    shared: int | None = None
    either: int | None = None
    inside: int = 0


def held_items(config: Config, asked: Asked, items: Int64, chunk: Chunk) -> Held:
    """Return which fields the documents of a chunk hold.

    A Python loop per document and field that it holds takes some 50 us each.

    Args:
        config: the rules.
        asked: the fields.
        items: the item of each field, (fields,).
        chunk: the documents.
    """
    found: dict[tuple[int, int], _Match] = {}
    for size in asked.runs:
        _add_runs(found, config, asked, chunk, size)
    _add_alike(found, config, asked, chunk)
    _add_beside(found, config, asked, items, chunk)
    return _columns(asked, chunk, found)


def _add_runs(
    found: dict[tuple[int, int], _Match], config: Config, asked: Asked, chunk: Chunk, size: int
) -> None:
    """Add fields of which a document has runs of one size."""
    seed, table = config.sketch.seed, asked.runs[size]
    said = spoken(chunk.words, size, seed)
    rows = held(said, found_runs(said, table, seed), table, asked.texts, seed)
    if size == asked.size:
        top, bottom = at_least(config.decontaminate.share)
        rows = rows[rows[:, 2] * bottom >= asked.lengths[rows[:, 1]] * top]
    rule = "run" if size == asked.size else "whole"
    for d, one, matched, longest, first, past in rows.tolist():
        found[d, one] = _Match(rule, matched, longest, first, past)


def _add_alike(
    found: dict[tuple[int, int], _Match], config: Config, asked: Asked, chunk: Chunk
) -> None:
    """Add fields that a document is a near copy of, or of which it has most shingles."""
    share = (
        at_least(config.decontaminate.containment) if config.decontaminate.containment else NEVER
    )
    threshold = at_least(config.near.threshold)
    for d, one, shared, either in alike(asked, chunk, config.sketch, threshold, share).tolist():
        size, seed = config.sketch.shingle_words, config.sketch.seed
        own, field = words_of(chunk.words, d), words_of(asked.words, one)
        lengths = [past - first for first, past in ranges_of(common(field, own, size, seed), size)]
        if (d, one) not in found:
            near = shared * threshold[1] >= either * threshold[0]
            places = common(own, field, size, seed)
            ends = int(places[0]), int(places[-1]) + size
            rule = "near" if near else "contained"
            found[d, one] = _Match(rule, sum(lengths), max(lengths), *ends)
        match = found[d, one]
        match.shared, match.either, match.inside = shared, either, sum(lengths)


def _add_beside(
    found: dict[tuple[int, int], _Match], config: Config, asked: Asked, items: Int64, chunk: Chunk
) -> None:
    """Add the fields too short to be found alone, in documents that hold another of their item."""
    lengths = asked.lengths
    short = np.flatnonzero((lengths > 0) & (lengths < config.decontaminate.short_words))
    of_item: dict[int, list[int]] = {}
    for one in short.tolist():
        of_item.setdefault(int(items[one]), []).append(one)
    for d, one in list(found):
        for other in of_item.get(int(items[one]), ()):
            size = int(lengths[other])
            own, field = words_of(chunk.words, d), words_of(asked.words, other)
            there = common(own, field, size, config.sketch.seed)
            places = np.array([p for p in there.tolist() if _are(own, p, field)], np.int64)
            if places.size:
                near = int(places[np.argmin(np.abs(places - found[d, one].past))])
                found.setdefault((d, other), _Match("beside", size, size, near, near + size))


def _are(own: Words, place: int, field: Words) -> bool:
    """Tell whether the words of a text from a place on are those of a field."""
    return bool(np.array_equal(own.hashes[place : place + field.hashes.size], field.hashes))


def words_of(words: Words, document: int) -> Words:
    """Return the word hashes of one document."""
    low, high = words.offsets[document : document + 2].tolist()
    none = np.zeros(0, np.uint32)
    return Words(np.array([0, high - low]), words.hashes[low:high], none, none)


def common(own: Words, other: Words, size: int, seed: int) -> Int64:
    """Return the first words of the runs of `size` words of one text that another has, ascending.

    By their hashes: who asks has compared these runs word by word, or does so then.
    """
    there = text.runs(other, size, seed)[1]
    hashes: Uint64 = text.runs(own, size, seed)[1]
    return np.flatnonzero(np.isin(hashes, there))


def ranges_of(places: Int64, size: int) -> Iterator[tuple[int, int]]:
    """Yield the words, first and past the last, that runs of `size` words cover."""
    if not places.size:
        return
    cuts = np.flatnonzero(np.diff(places) > size)
    firsts, lasts = places[[0, *(cuts + 1)]], places[[*cuts, -1]] + size
    yield from zip(firsts.tolist(), lasts.tolist(), strict=True)


def _columns(asked: Asked, chunk: Chunk, found: dict[tuple[int, int], _Match]) -> Held:
    """Return what was found as columns, by document, the surest first."""
    lengths = asked.lengths

    def order(pair: tuple[int, int]) -> tuple[int, bool, int, float, int]:
        match, size = found[pair], int(lengths[pair[1]])
        certain = CERTAINTIES.index(_certainty(match, size))
        return pair[0], match.rule == "beside", certain, -match.matched / size, pair[1]

    pairs = sorted(found, key=order)
    matches = [found[pair] for pair in pairs]
    documents = np.array([d for d, _ in pairs], np.int64)
    texts = np.array([one for _, one in pairs], np.int64)
    offsets = chunk.words.offsets[documents]
    first = np.array([match.first for match in matches], np.int64) + offsets
    last = np.array([match.past - 1 for match in matches], np.int64) + offsets
    certain = [
        _certainty(match, int(lengths[one]))
        for match, one in zip(matches, texts.tolist(), strict=True)
    ]
    columns = {
        "rule": pa.array([match.rule for match in matches], pa.string()),
        "certainty": pa.array(certain, pa.string()),
        "matched_words": pa.array([match.matched for match in matches], pa.int64()),
        "longest_run": pa.array([match.longest for match in matches], pa.int64()),
        "shared": pa.array([match.shared for match in matches], pa.int64()),
        "either": pa.array([match.either for match in matches], pa.int64()),
        "start_byte": pa.array(chunk.words.starts[first].astype(np.int64)),
        "end_byte": pa.array(chunk.words.ends[last].astype(np.int64)),
    }
    return Held({"document": documents, "text": texts}, columns)


def _certainty(match: _Match, words: int) -> str:
    """Return how much of a field is in a document: all of its words, most of them, or a part."""
    if match.matched == words:
        return "all"
    top, bottom = MOST
    return "most" if max(match.matched, match.inside) * bottom >= words * top else "part"


def passages_of(config: Config, asked: Asked, chunk: Chunk, held: Held) -> list[Range]:
    """Return the bytes of each document that are words of the fields that it holds.

    They are the runs, or the shingles, by which each field was found. Ranges of a document do not
    overlap.
    """
    words, seed = chunk.words, config.sketch.seed
    pairs = zip(*(held.of_rows[name].tolist() for name in ("document", "text")), strict=True)
    covered: dict[int, list[tuple[int, int]]] = {}
    for (d, one), rule in zip(pairs, held.columns["rule"].to_pylist(), strict=True):
        size = min(asked.size, int(asked.lengths[one]))
        size = config.sketch.shingle_words if rule in ("near", "contained") else size
        if rule != "beside":
            places = common(words_of(words, d), words_of(asked.words, one), size, seed)
            covered.setdefault(d, []).extend(ranges_of(places, size))
    found: list[Range] = []
    for d, parts in sorted(covered.items()):
        first = int(words.offsets[d])
        for low, high in _merged(parts):
            ends = words.starts[first + low], words.ends[first + high - 1]
            found.append((d, int(ends[0]), int(ends[1]), high - low))
    return found


def _merged(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges of words as ranges that do not touch, in order."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(parts):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
