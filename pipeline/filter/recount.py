"""What the rows that stay still teach: doses counted again over them, and the risk that is left."""

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

NOWHERE = np.uint64(0)  # stands in for the hash of a word that is cut


@dataclass(frozen=True)
class ForecastSequences:
    """The sequences that have a forecast.

    runs: the distinct runs of words of them and of their suffixes; of_sequence, of_suffix: the run
    of each, -1 without whole words. texts: the representatives that they are of, sorted; of_text:
    the text of each sequence.
    """

    model: pa.Table
    runs: Runs | None
    of_sequence: Int64
    of_suffix: Int64
    texts: Uint64
    of_text: Int64


def scored(work: Work) -> ForecastSequences | None:
    """Return the sequences of `risk_model` with their words; None when none has a forecast."""
    model = read_table(work.paths("risk_model"), RISK_MODEL)
    if not model.num_rows:
        return None
    keys, start, end, suffix = (
        model[name].to_numpy() for name in ("row_key", "start_byte", "end_byte", "suffix_byte")
    )
    words = [spelled(work, Places(keys, begin, end)).words for begin in (start, suffix)]
    numbers: dict[bytes, int] = {}
    places = [
        np.array([numbers.setdefault(run, len(numbers)) if run else -1 for run in own], np.int64)
        for own in words
    ]
    runs = None
    if numbers:
        begins = np.cumsum([0, *(len(run) // 8 for run in numbers)], dtype=np.int64)
        runs = index_runs(np.frombuffer(b"".join(numbers), np.uint64), begins)
    texts, of_text = np.unique(keys, return_inverse=True)
    return ForecastSequences(model, runs, places[0], places[1], texts, of_text)


def risk_after(
    work: Work, known: ForecastSequences, gone: Uint64, cuts: pa.Table | None = None
) -> Float64:
    """Return the risk of each sequence in the corpus without the rows `gone` (sorted) and `cuts`.

    One pass over the table `words`; a cut word is as good as another one that occurs nowhere.
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
    own, suffix = (
        np.where(place >= 0, counts[place], copies)
        for place in (known.of_sequence, known.of_suffix)
    )
    return risk_at(known.model, own, effective, suffix)


def _occurrences(work: Work, known: ForecastSequences, gone: Uint64, cuts: pa.Table) -> Int64:
    """Return how often each run occurs in the rows that stay."""
    if known.runs is None:
        return np.zeros(1, np.int64)
    counts = np.zeros((known.runs.begins.size - 1, 2), np.int64)
    for place in chunk_places(work.paths("words")):
        chunk = read_chunk(place, positions=cuts.num_rows > 0)
        groups = among(chunk.keys, gone).astype(np.int64)
        count_runs(known.runs, chunk.words.offsets, _left(chunk, cuts), groups, counts)
    return counts[:, 0]


def _left(chunk: Chunk, cuts: pa.Table) -> Uint64:
    """Return the hashes of a chunk's words, those that are cut replaced."""
    words = chunk.words
    if not cuts.num_rows or not chunk.keys.size:
        return words.hashes
    low, high = (pa.scalar(int(key), pa.uint64()) for key in chunk.keys[[0, -1]])
    key = cuts["row_key"]
    own = cuts.filter(pc.and_(pc.greater_equal(key, low), pc.less_equal(key, high)))
    hashes = words.hashes.copy()
    documents = np.searchsorted(chunk.keys, own["row_key"].to_numpy())
    columns = (own["start_byte"].to_pylist(), own["end_byte"].to_pylist())
    for document, start, end in zip(documents.tolist(), *columns, strict=True):
        first, last = words.offsets[document : document + 2]
        begin, stop = np.searchsorted(words.starts[first:last], (start, end))
        hashes[first + begin : first + stop] = NOWHERE
    return hashes


def of_documents(known: ForecastSequences, risk: Float64, representative: Uint64) -> Float64:
    """Return the largest risk of each document's sequences, NaN without one that has a forecast."""
    largest = np.zeros(known.texts.size)
    np.maximum.at(largest, known.of_text, risk)
    place = np.minimum(np.searchsorted(known.texts, representative), known.texts.size - 1)
    return np.where(known.texts[place] == representative, largest[place], np.nan)


def expected_tokens(known: ForecastSequences, risk: Float64, exact_count: Int64) -> float:
    """Return the tokens that the target is expected to memorize, of distinct texts.

    exact_count: of the texts, over the corpus as given: a sequence's weight over it is how many
    sequences of distinct texts it stands for. Suffixes lie end to end, so no token counts twice.
    """
    weight = known.model["weight"].to_numpy() / exact_count[known.of_text]
    return float(SUFFIX * np.sum(weight * risk))
