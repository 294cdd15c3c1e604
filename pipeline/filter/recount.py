"""Count scored sequences again among the rows that stay, for the risk that a filter leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.query import limits
from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.scan.words import Chunk, chunk_places, read_chunk
from pipeline.score.forecast.risk_model import risk_at
from pipeline.score.sequences.occurrence_kernels import Runs, count_runs, index_runs
from pipeline.score.sequences.occurrences import Places, spelled
from pipeline.score.slices import SUFFIX
from pipeline.text.arrays import Float64, Int64, Uint64
from pipeline.text.sorting import among
from schemas.filter.decisions import CUTS
from schemas.score.risk import RISK_MODEL

NOWHERE = np.uint64(0)  # replaces the hash of a word that is cut


@dataclass(frozen=True)
class ForecastSequences:
    """The sequences that have a forecast, with their words.

    Attributes:
        model: the rows of the table `risk_model`, one per sequence.
        runs: the distinct runs of words in sequences and suffixes; None when no word is whole.
        of_sequence: the run of each sequence, -1 without a whole word.
        of_suffix: the run of each suffix, -1 without a whole word.
        texts: row keys of the representatives of the texts, sorted.
        of_text: the place in `texts` of each sequence's text.
    """

    model: pa.Table
    runs: Runs | None
    of_sequence: Int64  # (sequences,)
    of_suffix: Int64  # (sequences,)
    texts: Uint64  # (texts,)
    of_text: Int64  # (sequences,)


def scored(work: Work) -> ForecastSequences | None:
    """Return the sequences that have a forecast, with their words; None without any."""
    model = read_table(work.paths("risk_model"), RISK_MODEL)
    if not model.num_rows:
        return None
    keys, start, end, suffix = (
        model[name].to_numpy() for name in ("row_key", "start_byte", "end_byte", "suffix_byte")
    )
    words = [spelled(work, Places(keys, begin, end)).words for begin in (start, suffix)]
    numbers: dict[bytes, int] = {}
    places = [
        np.array([numbers.setdefault(run, len(numbers)) if run else -1 for run in runs], np.int64)
        for runs in words
    ]
    distinct = None
    if numbers:
        begins = np.cumsum([0, *(len(run) // 8 for run in numbers)], dtype=np.int64)
        distinct = index_runs(np.frombuffer(b"".join(numbers), np.uint64), begins)
    texts, of_text = np.unique(keys, return_inverse=True)
    return ForecastSequences(model, distinct, places[0], places[1], texts, of_text)


@dataclass(frozen=True)
class Left:
    """The sequences in the corpus without some rows and cuts.

    Attributes:
        risk: of each, (sequences,).
        occurrences: of each, (sequences,).
    """

    risk: Float64
    occurrences: Int64


def risk_after(
    work: Work, known: ForecastSequences, gone: Uint64, cuts: pa.Table | None = None
) -> Left:
    """Return risk and occurrences of each sequence in the corpus without some rows and cuts.

    It takes one pass over the table `words`, in which a cut word is replaced by one that occurs
    nowhere.

    Args:
        work: the unit of work of the decisions.
        known: the sequences.
        gone: keys of the removed rows, sorted.
        cuts: rows of the table `cuts`; None for no cuts.
    """
    staying = query(
        "filter/effective_after",
        {
            "copies": work.paths("documents"),
            "pairs": work.paths("pairs"),
            "gone": pa.table({"row_key": gone}),
            "wanted": pa.table({"representative": known.texts}),
        },
        limits=limits(work),
    )
    copies = staying["exact_count"].to_numpy()[known.of_text]
    effective = staying["effective_count"].to_numpy()[known.of_text]
    counts = _occurrences(work, known, gone, CUTS.empty_table() if cuts is None else cuts)
    sequence, suffix = (
        np.where(place >= 0, counts[place], copies)
        for place in (known.of_sequence, known.of_suffix)
    )
    return Left(risk_at(known.model, sequence, effective, suffix), sequence)


def _occurrences(work: Work, known: ForecastSequences, gone: Uint64, cuts: pa.Table) -> Int64:
    """Return how often each run of words occurs in the rows that stay, (runs,)."""
    if known.runs is None:
        return np.zeros(1, np.int64)
    counts = np.zeros((known.runs.begins.size - 1, 2), np.int64)
    for place in chunk_places(work.paths("words")):
        chunk = read_chunk(place, positions=cuts.num_rows > 0)
        groups = among(chunk.keys, gone).astype(np.int64)
        count_runs(known.runs, chunk.words.offsets, _left(chunk, cuts), groups, counts)
    return counts[:, 0]


def _left(chunk: Chunk, cuts: pa.Table) -> Uint64:
    """Return the hashes of a chunk's words, those of cut words replaced, (words,)."""
    words = chunk.words
    if not cuts.num_rows or not chunk.keys.size:
        return words.hashes
    low, high = (pa.scalar(int(key), pa.uint64()) for key in chunk.keys[[0, -1]])
    key = cuts["row_key"]
    here = cuts.filter(pc.and_(pc.greater_equal(key, low), pc.less_equal(key, high)))
    hashes = words.hashes.copy()
    documents = np.searchsorted(chunk.keys, here["row_key"].to_numpy())
    columns = (here["start_byte"].to_pylist(), here["end_byte"].to_pylist())
    for document, start, end in zip(documents.tolist(), *columns, strict=True):
        first, last = words.offsets[document : document + 2]
        begin, stop = np.searchsorted(words.starts[first:last], (start, end))
        hashes[first + begin : first + stop] = NOWHERE
    return hashes


def of_documents(known: ForecastSequences, risk: Float64, representative: Uint64) -> Float64:
    """Return the largest risk among each document's sequences, NaN without one, (documents,).

    Args:
        known: the sequences.
        risk: the risk of each, (sequences,).
        representative: the representative of each document's text, (documents,).
    """
    largest = np.zeros(known.texts.size)
    np.maximum.at(largest, known.of_text, risk)
    place = np.minimum(np.searchsorted(known.texts, representative), known.texts.size - 1)
    return np.where(known.texts[place] == representative, largest[place], np.nan)


def expected_tokens(known: ForecastSequences, risk: Float64, exact_count: Int64) -> float:
    """Return how many tokens of distinct texts the target is expected to memorize.

    A sequence's weight over the exact count of its text is how many sequences of distinct texts it
    stands for. Suffixes do not overlap, so no token counts twice.

    Args:
        known: the sequences.
        risk: the risk of each, (sequences,).
        exact_count: exact copies of each text in the whole corpus, (texts,).
    """
    worth = known.model["weight"].to_numpy() / exact_count[known.of_text]
    return float(SUFFIX * np.sum(worth * risk))


def different(known: ForecastSequences, occurrences: Int64) -> Float64:
    """Return how many different sequences each one stands for, (sequences,).

    A sequence that occurs n times in the corpus is met n times among the sequences that weights
    stand for, wherever its documents differ; so each stands for its weight over n. What a filter
    takes changes no n here: it is that of the corpus as given.

    Args:
        known: the sequences.
        occurrences: of each in the whole corpus, at least 1, (sequences,).
    """
    return np.asarray(known.model["weight"].to_numpy() / np.maximum(occurrences, 1))
