"""The panel: which sequences are scored.

Repeated text is taken by decreasing count, other text from a stratified sample with known weights.
Texts are named by their first document: what it is scored for holds for all copies. A sequence's
weight is how many of the corpus's sequences it stands for: its document's exact copies for one
chosen with certainty, times the inverse of its chance for a sampled one (Horvitz and Thompson
1952).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.score.sequences.catalogue import Catalogue
from pipeline.score.sequences.sampling import REPEATED, document_order, strata
from pipeline.score.slices import STRIDE, starts
from pipeline.text.arrays import Flags, Int64
from pipeline.text.hashing import keyed_hash

MOST_BYTES = 1 << 20  # of a text
PER_TRAINED_FAMILY = 8  # sequences at most
PER_FAMILY = 16
PER_DOCUMENT = 8
LEAST_PER_DOCUMENT = 2
_PLACE = 5


@dataclass(frozen=True)
class Wanted:
    """Documents to read, by number: certain ones in the order of choice, and sampled ones.

    Attributes:
        trained: certain ones of repeated families that the proxies saw, (documents,).
        repeated: certain ones of all repeated families, (documents,).
        stratum: of each document of the catalogue; -1 for one that cannot be drawn.
        drawn: sampled ones, (drawn,).
        per_document: sequences taken from each of these, (drawn,).
        budget: sequences in all.
    """

    trained: Int64
    repeated: Int64
    stratum: Int64
    drawn: Int64
    per_document: Int64
    budget: int

    def documents(self) -> Int64:
        """Return all documents to read, once each, sorted."""
        return np.unique(np.concatenate((self.trained, self.repeated, self.drawn)))


@dataclass(frozen=True)
class Panel:
    """The chosen sequences in order of row_key and start_token.

    Attributes:
        document: number in the catalogue, (sequences,).
        start_token: first token in the document, (sequences,).
        of_document: sequences in the document, scored or not, (sequences,).
        sampled: whether it was sampled, else it was certain, (sequences,).
        weight: sequences of the corpus that it stands for, (sequences,).
    """

    document: Int64
    start_token: Int64
    of_document: Int64
    sampled: Flags
    weight: np.ndarray


def want(
    known: Catalogue,
    trained: Flags,
    without: Int64,
    bytes_per_token: float,
    budget: int,
    seed: int,
) -> Wanted:
    """Choose documents to read for `budget` sequences.

    A quarter of them is of repeated text that proxies were trained on, a quarter of repeated text,
    half of a sample. Documents above MOST_BYTES are left out.

    Args:
        known: the documents.
        trained: whether a proxy saw the text of each, (documents,).
        without: documents that are not scored, by number; others stand for them.
        bytes_per_token: of the run's tokenizer, about.
        budget: sequences to choose.
        seed: of the hashes that order documents.
    """
    order = document_order(known, seed)
    scored = known.first & (known.text_bytes <= MOST_BYTES)
    order = order[scored[order]]
    guess = np.maximum(1, known.text_bytes / (bytes_per_token * STRIDE)).astype(np.int64)
    repeated = order[(known.repetition[order] >= REPEATED) & ~np.isin(order, without)]
    repeated = repeated[np.argsort(-known.repetition[repeated], kind="stable")]
    seen = _up_to(repeated[trained[repeated]], known, guess, PER_TRAINED_FAMILY, budget // 4)
    rest = _up_to(repeated, known, guess, PER_FAMILY, budget // 2)
    stratum, drawn, each = _draw(order, without, known, trained, budget - budget // 2)
    return Wanted(seen, rest, stratum, drawn, each, budget)


def choose(known: Catalogue, wanted: Wanted, tokens: Mapping[int, int], seed: int) -> Panel:
    """Choose the sequences of the documents that were read.

    Args:
        known: the documents.
        wanted: what was chosen to be read.
        tokens: length of each text that was read, by number of the document.
        seed: of the hash that orders the places in a document.
    """
    certain: dict[tuple[int, int], None] = {}
    limit = wanted.budget // 4
    for documents, per_family, most in (
        (wanted.trained, PER_TRAINED_FAMILY, limit),
        (wanted.repeated, PER_FAMILY, 2 * limit),
    ):
        _take(known, documents, tokens, per_family, most, certain)
    rows = [
        (document, start, False, float(known.exact_count[document])) for document, start in certain
    ]
    rows += _sampled(known, wanted, tokens, set(certain), seed)
    return _panel(known, rows, tokens)


def _up_to(order: Int64, known: Catalogue, guess: Int64, per_family: int, budget: int) -> Int64:
    """Return the first documents of each family that should hold `per_family` sequences.

    They are guessed to hold `budget` in all.

    Args:
        order: documents, in the order of choice.
        known: all documents.
        guess: sequences that each document should hold, (documents,).
        per_family: sequences of a family at most.
        budget: sequences in all.
    """
    ends = np.zeros(len(order), np.int64)
    by_family = np.argsort(known.family[order], kind="stable")
    sizes = guess[order][by_family]
    total = np.cumsum(sizes)
    family = known.family[order][by_family]
    first = np.flatnonzero(np.diff(family, prepend=-1))
    before = (
        total - sizes - np.repeat((total - sizes)[first], np.diff(np.append(first, len(order))))
    )
    ends[by_family] = before
    chosen = order[ends < per_family]
    used = np.cumsum(np.minimum(guess[chosen], per_family))
    return chosen[: int(np.searchsorted(used, budget, "left")) + 1]


def _draw(
    order: Int64, without: Int64, known: Catalogue, trained: Flags, budget: int
) -> tuple[Int64, Int64, Int64]:
    """Return the stratum of each document, the documents drawn, and the sequences of each.

    Every stratum has an equal share of the budget. Documents that are not scored are in their
    stratum, but never drawn: they were chosen by a hash, so the others speak for them.
    """
    free = order[~np.isin(order, without)]
    stratum = np.full(len(known.row_key), -1, np.int64)
    stratum[order] = (strata(known.repetition) * 2 + trained)[order]
    found = np.unique(stratum[free])
    drawn, each = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for name in found.tolist():
        share = max(1, budget // len(found))
        members = free[stratum[free] == name][: max(1, share // LEAST_PER_DOCUMENT)]
        per_document = min(PER_DOCUMENT, max(LEAST_PER_DOCUMENT, share // len(members)))
        drawn.append(members)
        each.append(np.full(len(members), per_document))
    return stratum, np.concatenate(drawn), np.concatenate(each)


def _take(
    known: Catalogue,
    documents: Int64,
    tokens: Mapping[int, int],
    per_family: int,
    most: int,
    chosen: dict[tuple[int, int], None],
) -> None:
    """Add sequences of documents, in order, to `chosen` until a bound is reached."""
    of_family: dict[int, int] = {}
    for document in documents.tolist():
        family = int(known.family[document])
        for start in starts(tokens[document]).tolist():
            if len(chosen) >= most or of_family.get(family, 0) >= per_family:
                break
            of_family[family] = of_family.get(family, 0) + 1
            chosen[document, start] = None


def _sampled(
    known: Catalogue,
    wanted: Wanted,
    tokens: Mapping[int, int],
    certain: set[tuple[int, int]],
    seed: int,
) -> list[tuple[int, int, bool, float]]:
    """Return the sequences of the sampled documents, with their weights."""
    population = np.bincount(wanted.stratum[wanted.stratum >= 0])
    sizes = np.bincount(wanted.stratum[wanted.drawn], minlength=len(population))
    rows: list[tuple[int, int, bool, float]] = []
    for document, most in zip(wanted.drawn.tolist(), wanted.per_document.tolist(), strict=True):
        places = starts(tokens[document])
        free = np.array(
            [place for place in places.tolist() if (document, place) not in certain], np.int64
        )
        keys = keyed_hash(free.astype(np.uint64) ^ known.text_key[document], seed + _PLACE)
        taken = free[np.argsort(keys, kind="stable")][:most]
        stratum = wanted.stratum[document]
        chance = sizes[stratum] / population[stratum] * len(taken) / max(1, len(free))
        rows += [
            (document, int(start), True, known.exact_count[document] / chance) for start in taken
        ]
    return rows


def _panel(
    known: Catalogue, rows: list[tuple[int, int, bool, float]], tokens: Mapping[int, int]
) -> Panel:
    """Return the panel of (document, start, sampled, weight), sorted."""
    rows.sort(key=lambda row: (int(known.row_key[row[0]]), row[1]))
    document = np.array([row[0] for row in rows], np.int64)
    totals = {number: len(starts(tokens[number])) for number in {row[0] for row in rows}}
    return Panel(
        document,
        np.array([row[1] for row in rows], np.int64),
        np.array([totals[row[0]] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.bool_),
        np.array([row[3] for row in rows], np.float64),
    )
