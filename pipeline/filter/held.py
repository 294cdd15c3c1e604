"""Find the rows that another run holds already, each with the row of it that proves it.

A row is held when the other run has the same bytes, a near copy by the exact Jaccard at
`near.threshold`, or, where `near.containment` is set, a text that has so much of it. No pair is
missed: candidates are those that share a rare shingle, not those of a signature. The other run is
only read. Its words are gone through chunk by chunk, once for each part of this run's texts that
the budget has room for.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.sections import Config
from pipeline.engine.group_digests import GROUPS, group_digests
from pipeline.engine.parts import in_order
from pipeline.engine.progress import current
from pipeline.engine.query import limits, run
from pipeline.engine.shards import row_of, shard_of
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import conform, read_batches, read_keys, read_table, write_table
from pipeline.filter.other_run import OtherRun, other_run
from pipeline.matching.rare import Pairs, Prepared, Thresholds, near_pairs, prepared
from pipeline.scan.words import ChunkPlace, chunk_keys, chunk_places, read_chunk
from pipeline.text import segmentation as text
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.segmentation import Words
from pipeline.text.sorting import among
from schemas.filter.held import HELD
from schemas.scan.counts import COUNTS
from schemas.scan.signatures import SIGNATURES

VERSION = 1
METHODS = ("", "contained", "near", "exact")  # the better proof is the later one
WORD_BYTES = 64  # of a word of the texts that are looked for at a time
MOST_WORDS = 1 << 23  # looked for at a time where there is no budget


def settings(config: Config) -> list[Any]:
    """Return the settings that the table depends on."""
    near = config.near
    return [
        [config.sketch.model_dump(), config.minus.model_dump(exclude={"run"})],
        [near.threshold, near.containment, near.symbol_words, config.text.normalize],
    ]


def is_asked(config: Config) -> bool:
    """Tell whether the rows of another run are to be kept out."""
    return bool(config.minus.run)


@dataclass
class _Proofs:
    """The best proof of each text, by its place among the representatives.

    Attributes:
        method: place in METHODS.
        score: Jaccard, or the share contained.
        shared: shingles in both.
        total: those in either, or of the contained text.
        theirs: row_key in the other run.
    """

    method: Int64
    score: np.ndarray
    shared: Int64
    total: Int64
    theirs: Uint64

    @classmethod
    def none(cls, texts: int) -> _Proofs:
        """Return no proof for any of some texts."""
        zeros = (np.zeros(texts, kind) for kind in (np.int64, float, np.int64, np.int64, np.uint64))
        return cls(*zeros)

    def take(self, places: Int64, pairs: Pairs, keys: Uint64) -> None:
        """Take over the pairs that prove more than what is known; of equal ones the first stays.

        Args:
            places: the text of each pair.
            pairs: the pairs.
            keys: the document of each.
        """
        method, score = np.where(pairs.near, 2, 1), pairs.shared / np.maximum(1, pairs.total)
        order = np.lexsort((keys, -score, -method, places))
        _, first = np.unique(places[order], return_index=True)
        best = order[first]
        at = places[best]
        more = (method[best] > self.method[at]) | (
            (method[best] == self.method[at]) & (score[best] > self.score[at])
        )
        at, best = at[more], best[more]
        self.method[at], self.score[at], self.theirs[at] = method[best], score[best], keys[best]
        self.shared[at], self.total[at] = pairs.shared[best], pairs.total[best]


def held(work: Work) -> Receipt:
    """Write `held`: which rows the other run holds, and which of its rows proves it.

    A *reduce* stage.

    Raises:
        ConfigError: When the other run was scanned with other settings.
        IntegrityError: When a file of it is damaged, or one hash stands for two shingles.
    """
    other = other_run(work.config, work.folder, sound=True)
    columns = ["row_key", "representative", "words", "symbols"]
    counts = read_table(work.paths("counts"), COUNTS, columns)
    own = counts["representative"].to_numpy()
    texts = np.unique(own)
    proofs = _Proofs.none(texts.size)
    _exact(work, other, texts, proofs)
    symbols = counts.filter(pa.array(counts["row_key"].to_numpy() == own))
    for places, words in _parts(work, texts[proofs.method == 0]):
        _near(work, other, (np.searchsorted(texts, places), words), symbols, proofs)
    table = _table(counts, texts, proofs, other)
    with write_table(work.folder, "held", work.key, HELD) as out:
        out.write(table)
    reasons = {name: int((table["method"].to_numpy() == name).sum()) for name in METHODS[1:]}
    facts = {"rows": table.num_rows, **reasons, GROUPS: group_digests(work.shards, [table])}
    return Receipt((out.record,), table.num_rows, out.rows, facts)


def _exact(work: Work, other: OtherRun, texts: Uint64, proofs: _Proofs) -> None:
    """Note the texts that the other run has byte for byte."""
    inputs = {"counts": work.paths("counts"), "signatures": other.tables["signatures"]}
    found = run("filter/held_exact", inputs, limits=limits(work))
    at = np.searchsorted(texts, found["representative"].to_numpy())
    proofs.method[at], proofs.score[at] = METHODS.index("exact"), 1.0
    proofs.theirs[at] = found["their_row_key"].to_numpy()


def _parts(work: Work, wanted: Uint64) -> Iterator[tuple[Uint64, Words]]:
    """Yield the keys and the words of some texts, as many as the budget has room for at a time."""
    most = max(1, work.memory // (4 * WORD_BYTES)) if work.memory else MOST_WORDS
    keys: list[Uint64] = []
    parts: list[Words] = []
    size = 0
    for place in chunk_places(work.paths("words")):
        if not among(chunk_keys(place), wanted).any():
            continue
        chunk = read_chunk(place)
        own = np.flatnonzero(among(chunk.keys, wanted))
        keys.append(chunk.keys[own])
        parts.append(text.take(chunk.words, own))
        size += parts[-1].hashes.size
        if size >= most:
            yield np.concatenate(keys), _joined(parts)
            keys, parts, size = [], [], 0
    if keys:
        yield np.concatenate(keys), _joined(parts)


def _joined(parts: list[Words]) -> Words:
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    none = np.zeros(0, np.uint32)
    hashes = np.concatenate([part.hashes for part in parts])
    return Words(np.concatenate([[0], np.cumsum(lengths)]), hashes, none, none)


def _near(
    work: Work,
    other: OtherRun,
    part: tuple[Int64, Words],
    symbols: pa.Table,
    proofs: _Proofs,
) -> None:
    """Look for some texts among all words of the other run, and note the best proofs.

    Args:
        work: the unit of work.
        other: the other run.
        part: place of each text among all, and their words.
        symbols: words and symbols of all texts, in order.
        proofs: written.
    """
    near, sketch = work.config.near, work.config.sketch
    places, words = part
    texts = prepared(words, sketch, Thresholds(near.threshold, near.containment))
    own = symbols.take(pa.array(places))
    search = partial(_look, work.config, texts, own, other)
    chunks = chunk_places(other.tables["words"])
    with ThreadPoolExecutor(work.cores) as threads:
        found = in_order(threads, work.cores, search, chunks)
        for done, (pairs, keys) in enumerate(found):
            if pairs.texts.size:
                proofs.take(places[pairs.texts], pairs, keys)
            current().advance(done + 1, len(chunks), "chunks of the other run")


def _look(
    config: Config, texts: Prepared, own: pa.Table, other: OtherRun, place: ChunkPlace
) -> tuple[Pairs, Uint64]:
    """Return the pairs of the texts and the documents of one chunk, and the documents' keys."""
    chunk = read_chunk(place)
    pairs = near_pairs(texts, chunk.words, config.sketch)
    keys = chunk.keys[pairs.documents]
    differing = _symbols_differ(config, own, other, pairs, keys)
    kept = np.flatnonzero(~differing)
    return (
        Pairs(*(getattr(pairs, name)[kept] for name in Pairs.__dataclass_fields__)),
        keys[kept],
    )


def _symbols_differ(
    config: Config, own: pa.Table, other: OtherRun, pairs: Pairs, keys: Uint64
) -> np.ndarray:
    """Tell which near pairs are short texts with other symbols, so that they are no copies."""
    most = config.near.symbol_words
    lengths = own["words"].to_numpy()[pairs.texts]
    asked = pairs.near & (lengths < most)
    if not asked.any():
        return np.asarray(asked)
    low, high = int(keys[asked].min()), int(keys[asked].max())
    names = ["row_key", "words", "symbols"]
    theirs = pa.concat_tables(read_keys(other.tables["signatures"], SIGNATURES, names, low, high))
    at = np.searchsorted(theirs["row_key"].to_numpy(), np.clip(keys, low, high))
    both = theirs.take(pa.array(np.minimum(at, theirs.num_rows - 1)))
    mine = own["symbols"].take(pa.array(pairs.texts)).to_pylist()
    differ = [a != b for a, b in zip(mine, both["symbols"].to_pylist(), strict=True)]
    short = both["words"].to_numpy() < most
    return np.asarray(asked & short & np.array(differ, np.bool_))


def _table(counts: pa.Table, texts: Uint64, proofs: _Proofs, other: OtherRun) -> pa.Table:
    """Return the rows of `held`: every copy of a text that is held, with its proof."""
    at = np.searchsorted(texts, counts["representative"].to_numpy())
    rows = np.flatnonzero(proofs.method[at])
    at = at[rows]
    keys, exact = proofs.theirs[at], proofs.method[at] == METHODS.index("exact")
    numbers = shard_of(keys).tolist()
    names = [other.shards[number] for number in numbers]
    columns = {
        "row_key": counts["row_key"].take(pa.array(rows)),
        "method": pa.array([METHODS[method] for method in proofs.method[at]], pa.string()),
        "shared": pa.array(proofs.shared[at], mask=exact),
        "total": pa.array(proofs.total[at], mask=exact),
        "score": proofs.score[at],
        "their_row_key": keys,
        "their_doc_id": _ids(other.tables["signatures"], keys),
        "their_shard": pa.array([shard["name"] for shard in names], pa.string()),
        "their_row": row_of(keys).astype(np.int64),
        "their_digest": pa.array([shard["content_digest"] for shard in names], pa.string()),
    }
    return conform(pa.table([columns[name] for name in HELD.names], HELD.names), HELD)


def _ids(signatures: list[Path], keys: Uint64) -> pa.Array:
    """Return the id of each row of the other run; one pass over its signatures."""
    wanted, found, ids = np.unique(keys), [np.zeros(0, np.uint64)], [pa.array([], pa.string())]
    for path in signatures:
        for batch in read_batches(path, ["row_key", "doc_id"]):
            own = among(batch["row_key"].to_numpy(), wanted)
            found.append(batch["row_key"].to_numpy()[own])
            ids.append(batch["doc_id"].filter(pa.array(own)))
    known, names = np.concatenate(found), pa.concat_arrays(ids)
    order = np.argsort(known)
    return names.take(pa.array(order[np.searchsorted(known[order], keys)]))
