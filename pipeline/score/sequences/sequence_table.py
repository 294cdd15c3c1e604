"""The rows of `sequences`: where each lies, how often its words occur, what proxies say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.engine.stage import Work
from pipeline.score.proxy.ensemble import HALVES, Proxy, score_all
from pipeline.score.proxy.pool import WorkerPool
from pipeline.score.proxy.statistics import Statistics
from pipeline.score.sequences.catalogue import Catalogue
from pipeline.score.sequences.contexts import TrainedSequences, contexts
from pipeline.score.sequences.declared import of_copies
from pipeline.score.sequences.occurrences import (
    Places,
    occurrences,
    occurrences_by,
    spelled,
    window_counts,
)
from pipeline.score.sequences.panel import Panel
from pipeline.score.sequences.sampling import BYTES_PER_TOKEN
from pipeline.score.sequences.taught import Lesson, times_taught
from pipeline.score.sequences.text_features import text_features
from pipeline.score.sequences.training_rows import Text, token_rows
from pipeline.score.signals.gap import gap_bits
from pipeline.score.signals.repetition import continuation_share
from pipeline.score.slices import PREFIX, ROW_TOKENS, SEQUENCE
from pipeline.text.arrays import Flags, Int64
from schemas.score.sequences import SEQUENCES, STATISTICS

RAREST_WORDS = 8
HASH_BYTES = 8
SUFFIXES = 250_000  # whose pieces are counted in one pass: about 0.3 GB


@dataclass(frozen=True)
class ScoringInput:
    """All that was chosen and read: a panel to score, and what the proxies learnt.

    Attributes:
        known: the documents.
        lesson: what the proxies were taught.
        panel: the sequences to score.
        texts: by number of the document, of all that are scored.
        seen: documents that loaded proxies were trained on, where a column says it, (documents,).
    """

    known: Catalogue
    lesson: Lesson
    panel: Panel
    texts: Mapping[int, Text]
    seen: Flags | None = None

    def others(self) -> list[Text]:
        """Return the texts that were not read for the training already."""
        place = self.lesson.place_of(self.known)
        return [text for number, text in self.texts.items() if place[number] < 0]

    def bytes_per_token(self) -> float:
        """Return the mean bytes of a token in all texts read, those of the training too."""
        others = self.others()
        size = int(self.lesson.text_bytes.sum()) + sum(len(text.raw) for text in others)
        tokens = int(self.lesson.tokens.sum()) + sum(len(text.encoded.tokens) for text in others)
        return size / tokens if tokens else BYTES_PER_TOKEN


@dataclass(frozen=True)
class ScoredSequences:
    """The statistics of one proxy.

    Attributes:
        name: of the proxy.
        rows: which of the panel's sequences it scored, (scored,).
        seen: times it was trained on each of these, (scored,).
        values: statistics by name, (scored,) each.
    """

    name: str
    rows: Int64
    seen: Int64
    values: Statistics


def trained(known: Catalogue, lesson: Lesson) -> Int64:
    """Return 0 for each document that no proxy saw, else 1 + its half, (documents,).

    Of a text that was taught less often than it occurs, its first documents are those seen.
    """
    copies = lesson.copies_by_half(known)
    first = np.searchsorted(known.row_key, known.representative)
    order = np.argsort(first, kind="stable")
    _, begin, size = np.unique(first[order], return_index=True, return_counts=True)
    place = np.zeros(len(first), np.int64)
    place[order] = np.arange(len(first)) - np.repeat(begin, size)
    return np.where(place < copies.sum(1), 1 + copies.argmax(1), 0)


def sequence_tables(
    work: Work, of: ScoringInput, proxies: list[Proxy], pool: WorkerPool
) -> tuple[pa.Table, pa.Table]:
    """Score the panel and return the rows of `sequences`, and those of `contexts`."""
    panel = of.panel
    places = _places(of, 0, SEQUENCE)
    words = spelled(work, places)
    parts = [(PREFIX, SEQUENCE), (0, PREFIX)]  # tokens of the suffix, of the prefix
    runs = [words.words, *(spelled(work, _places(of, *part)).words for part in parts)]
    by_half, of_suffix, of_prefix = np.split(_occurrences(work, of, runs), 3)
    tokens = _tokens(of)
    scored = scored_rows(tokens, by_half, proxies, pool)
    columns = {
        "row_key": places.row_key,
        "start_byte": places.start_byte,
        "end_byte": places.end_byte,
        "suffix_byte": _places(of, PREFIX, SEQUENCE).start_byte,
        "start_token": panel.start_token,
        "document_sequences": panel.of_document,
        "family": _families(of),
        "stratum": pa.array(np.where(panel.sampled, "sampled", "repeated").tolist(), pa.string()),
        "weight": panel.weight,
        "sequence_count": by_half.sum(1),
        "suffix_count": of_suffix.sum(1),
        "rarest_count": _rarest(work, runs[1], of_suffix.sum(1)),
        "window_count": window_counts(work, places, words),
        "effective_count": of.known.effective_count[panel.document],
        "gap_bits": _gaps(scored, len(panel.document)),
        "continuation_share": continuation_share(by_half.sum(1), of_prefix.sum(1)),
        **text_features(panel, of.texts, places, tokens[:, 1:], _frequency(of)),
        "proxies": nested(scored, len(panel.document)),
    }
    ladder = [one for one in proxies if one.role == "ladder"]
    doses = [one.seen for one in scored if one.name in {proxy.name for proxy in ladder}]
    sequences = TrainedSequences(
        places.row_key,
        panel.start_token,
        columns["family"],
        tokens,
        np.column_stack([np.zeros((len(tokens), 0), np.int64), *doses]),
    )
    return pa.table(columns), contexts(sequences, ladder, pool)


def _places(of: ScoringInput, start: int, end: int) -> Places:
    """Return the bytes of tokens [start, end) of each sequence."""
    panel = of.panel
    pairs = list(zip(panel.document.tolist(), panel.start_token.tolist(), strict=True))
    first = [of.texts[number].encoded.starts[place + start] for number, place in pairs]
    last = [of.texts[number].encoded.ends[place + end - 1] for number, place in pairs]
    keys = of.known.row_key[panel.document]
    return Places(keys, np.array(first, np.int64), np.array(last, np.int64))


def _families(of: ScoringInput) -> pa.Array:
    """Return the name of the family of each sequence."""
    numbers = of.known.family[of.panel.document].tolist()
    return pa.array([of.known.family_names[number] for number in numbers], pa.string())


def _occurrences(work: Work, of: ScoringInput, runs: list[list[bytes]]) -> Int64:
    """Return how often runs occur beyond what an epoch teaches, and in each half, (runs, 3).

    A run without whole words counts as often as its document does.

    Args:
        work: of the stage.
        of: what was chosen and read.
        runs: words of the panel's sequences, then of parts of them.
    """
    words = [run for part in runs for run in part]
    wordless = np.array([number for number, run in enumerate(words) if not run], np.int64)
    own = np.tile(of.panel.document, len(runs))[wordless]
    if of.seen is not None:
        both = occurrences_by(work, words, of.known.row_key[of.seen])
        both[wordless] = of_copies(of.known, of.seen)[own]
        return np.column_stack((both, np.zeros(len(words), np.int64)))
    total, taught = occurrences(work, words), times_taught(of.lesson, words)
    total[wordless] = of.known.exact_count[own]
    taught[wordless] = of.lesson.copies_by_half(of.known)[own]
    return np.column_stack((total - taught.sum(1), taught))


def _rarest(work: Work, suffixes: list[bytes], counts: Int64) -> Int64:
    """Return the occurrences in the corpus of the rarest 8 words of each suffix, (sequences,).

    Those of the whole suffix where it has no more words than that.

    Args:
        work: of the stage.
        suffixes: word hashes of each, as bytes.
        counts: occurrences of each suffix, (sequences,).
    """
    found = [
        _rarest_of(work, suffixes[at : at + SUFFIXES], counts[at : at + SUFFIXES])
        for at in range(0, len(suffixes), SUFFIXES)
    ]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _rarest_of(work: Work, suffixes: list[bytes], counts: Int64) -> Int64:
    """Return the same of some suffixes, in one pass over the corpus, (suffixes,)."""
    size = RAREST_WORDS * HASH_BYTES
    pieces = [
        [run[at : at + size] for at in range(0, len(run) - size + 1, HASH_BYTES)]
        for run in suffixes
    ]
    found = occurrences(work, [piece for own in pieces for piece in own])
    owner = np.repeat(np.arange(len(pieces)), [len(own) for own in pieces])
    least = np.full(len(pieces), np.iinfo(np.int64).max)
    np.minimum.at(least, owner, found)
    return np.where(np.isin(np.arange(len(pieces)), owner), least, counts)


def _frequency(of: ScoringInput) -> Int64:
    """Return how often each token is in all texts read, each counted once, (vocabulary,)."""
    counts = of.lesson.frequency.copy()
    for text in of.others():
        counts += np.bincount(text.encoded.tokens, minlength=len(counts))
    return counts


def _tokens(of: ScoringInput) -> Int64:
    """Return EOS and the tokens of each sequence of the panel, (sequences, 65)."""
    pairs = zip(of.panel.document.tolist(), of.panel.start_token.tolist(), strict=True)
    rows = [token_rows(of.texts[number], np.array([start])) for number, start in pairs]
    return np.concatenate([np.zeros((0, ROW_TOKENS), np.int64), *rows])


def scored_rows(
    tokens: Int64, by_half: Int64, proxies: list[Proxy], pool: WorkerPool
) -> list[ScoredSequences]:
    """Score each distinct sequence once; proxies after one epoch score only what they saw.

    Args:
        tokens: EOS and a sequence each, (rows, 65).
        by_half: times that an epoch teaches it to no proxy, to the first half, to the second,
            (rows, 3).
        proxies: the models.
        pool: the threads that score.
    """
    distinct, place = np.unique(tokens, axis=0, return_inverse=True)
    none = np.zeros(len(tokens), np.int64)
    seen = [sum((by_half[:, 1 + half] for half in proxy.halves), none) for proxy in proxies]
    rows = [
        np.flatnonzero(times) if proxy.role == "early" else np.arange(len(tokens))
        for proxy, times in zip(proxies, seen, strict=True)
    ]
    needed = [np.unique(place[own], return_inverse=True) for own in rows]
    values = score_all(proxies, [distinct[unique] for unique, _ in needed], pool)
    return [
        ScoredSequences(
            proxy.name,
            rows[number],
            times_seen(seen[number][rows[number]], proxy),
            {name: column[needed[number][1]] for name, column in values[number].items()},
        )
        for number, proxy in enumerate(proxies)
    ]


def times_seen(times: Int64, proxy: Proxy) -> Int64:
    """Return how often a proxy was trained on each of some sequences, (sequences,).

    Of an earlier checkpoint these are whole times in proportion to its training: at least once
    where an epoch has the sequence, since which texts had come by then is not known.

    Args:
        times: that an epoch teaches each, (sequences,).
        proxy: the model.
    """
    whole = times * proxy.epochs
    if proxy.share == 1.0:
        return whole
    part = np.maximum(1, np.rint(whole * proxy.share).astype(np.int64))
    return np.where(whole > 0, part, 0)


def _gaps(scored: list[ScoredSequences], rows: int) -> pa.Array:
    """Return the column `gap_bits`; null where there is no gap."""
    pair = [one for one in scored if one.name in HALVES]
    if len(pair) < len(HALVES):
        return pa.nulls(rows, pa.float32())
    log_p = [one.values["log_p_z"].astype(np.float64) for one in pair]
    bits = gap_bits(log_p[0], log_p[1], np.stack([one.seen for one in pair], axis=1))
    return pa.array(bits.astype(np.float32), mask=np.isnan(bits))


def nested(scored: list[ScoredSequences], rows: int) -> pa.Array:
    """Return the list column `proxies`: a struct for each proxy that scored the sequence.

    Args:
        scored: the statistics of each proxy.
        rows: rows of the table.
    """
    kind = SEQUENCES.field("proxies").type
    row = _joined([one.rows for one in scored]).astype(np.int64)
    order = np.argsort(row, kind="stable")
    names = [np.full(len(one.rows), one.name, object) for one in scored]
    columns = [_joined(names), _joined([one.seen for one in scored])]
    for statistic in STATISTICS[1:]:
        columns += [_joined([one.values[statistic.name] for one in scored])]
    arrays = [
        pa.array(column[order]).cast(field.type)
        for column, field in zip(columns, kind.value_type, strict=True)
    ]
    ends = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=rows)))).astype(np.int32)
    values = pa.StructArray.from_arrays(arrays, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(pa.array(ends), values, type=kind)


def _joined(parts: list[Any]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
