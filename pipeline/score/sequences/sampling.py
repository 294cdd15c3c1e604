"""The sample that the proxies are trained on, chosen by hash before any text is read.

Whole families are sampled, with all their copies: sampling documents would divide the very counts
that are to be learnt from. Of a family that is too large for the sample, which is where the highest
counts of a corpus are, as many copies are taught as fit, those that repeat most first; how many is
known of each sequence. Nothing here depends on the names or the number of shards: the keys are
hashes of texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.score.sequences.catalogue import Catalogue
from pipeline.text.arrays import Flags, Float64, Int64
from pipeline.text.hashing import keyed_hash

REPEATED = 1.5  # repetition from which a text counts as repeated
HELD_OUT = 8  # one family in so many
LARGEST_SHARE = 24  # of a family at most the budget over this is trained on
TELLING_LEVEL = 2  # log2 of repetition
SATURATED_LEVEL = 5  # log2 of repetition; levels above are one
BYTES_PER_TOKEN = 4.0  # before a tokenizer is known
PLANT_SHARE = 8  # of the corpus, one byte in so many is read for plants at most
_HELD_OUT, _HALF, _ORDER, _PLANTS = 1, 2, 3, 4


@dataclass(frozen=True)
class Sample:
    """Families to train on, by number, each part in the order of its choice.

    Attributes:
        repeated: those chosen for their repetition.
        random: those chosen by hash.
        copies: of each text that are trained on where its family is, (documents,).
        skipped: families none of whose texts is small enough for the budget.
    """

    repeated: Int64
    random: Int64
    copies: Int64
    skipped: int

    @property
    def families(self) -> Int64:
        """All of them, (families,)."""
        return np.concatenate((self.repeated, self.random))


NOTHING = Sample(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), 0)


def held_out(known: Catalogue, seed: int) -> Flags:
    """Return which families no proxy may see, (families,).

    They are an eighth: the non-members whose rate of memorized sequences is the floor.
    """
    return np.asarray(keyed_hash(known.family_key, seed + _HELD_OUT) % np.uint64(HELD_OUT) == 0)


def plant_sources(known: Catalogue, size: int, seed: int) -> Int64:
    """Return documents whose passages are planted, so that their families are not trained on.

    They have `size` bytes in all or an eighth of the corpus, whichever is less.

    Args:
        known: the documents.
        size: bytes that are wanted.
        seed: of the hash.
    """
    most = min(size, int(known.text_bytes.sum()) // PLANT_SHARE)
    return unrepeated(known, ~held_out(known, seed), most, seed + _PLANTS)


def unrepeated(known: Catalogue, allowed: Flags, size: int, seed: int) -> Int64:
    """Return documents of families that repeat nothing, in an order by hash, of about `size` bytes.

    Of at least one family, where there is one.

    Args:
        known: the documents.
        allowed: which families may be chosen, (families,).
        size: bytes that are wanted.
        seed: of the hash that orders families.
    """
    repeats = np.zeros(len(known.family_key), np.bool_)
    repeats[known.family[known.repetition >= REPEATED]] = True
    order = np.argsort(keyed_hash(known.family_key, seed), kind="stable")
    order = order[(~repeats & allowed)[order]]
    before = np.cumsum(bytes_of_families(known)[order])
    chosen = order[: int(np.searchsorted(before, size)) + 1]
    return np.flatnonzero(known.first & np.isin(known.family, chosen))


def half_of(known: Catalogue, seed: int) -> Int64:
    """Return the half, 0 or 1, whose cross-fit proxy is trained on each family, (families,)."""
    return (keyed_hash(known.family_key, seed + _HALF) % np.uint64(2)).astype(np.int64)


def bytes_of_families(known: Catalogue) -> Int64:
    """Return the bytes of each family, all its documents together, (families,)."""
    return np.bincount(known.family, known.text_bytes, len(known.family_key)).astype(np.int64)


def choose_families(
    known: Catalogue, size: Int64, budget: int, allowed: Flags, seed: int
) -> Sample:
    """Return families of at most `budget`: half by decreasing repetition, half by hash.

    The repeated half gives each power of two of repetition, from the top, an equal share of what is
    left, so that no few large families of one dose take all of it. Of a family above 1/24 of the
    budget so much is taken: a few large ones would leave few families.

    Args:
        known: the documents.
        size: of each document's text, in any unit, (documents,).
        budget: in the same unit.
        allowed: which families may be chosen, (families,).
        seed: of the hash that orders families.
    """
    copies = copies_that_fit(known, size, budget // LARGEST_SHARE, seed)
    count = len(known.family_key)
    taught = np.bincount(known.family, copies, count)
    part = np.bincount(known.family, copies * size, count).astype(np.int64)
    order = np.argsort(keyed_hash(known.family_key, seed + _ORDER), kind="stable")
    fitting = allowed & (taught > 0)
    repeated = _by_repetition(order[fitting[order]], family_repetition(known), part, budget // 2)
    taken = np.zeros(count, np.bool_)
    taken[repeated] = True
    rest = order[(fitting & ~taken)[order]]
    random = take_that_fit(rest, part, budget - int(part[repeated].sum()))
    return Sample(repeated, random, copies, int((allowed & ~fitting).sum()))


def sample_by_bytes(known: Catalogue, reserved: Int64, tokens: int, seed: int) -> Sample:
    """Return the families to read: by bytes, about as many as a budget of tokens will hold.

    Args:
        known: the documents.
        reserved: those whose passages are planted, by number; their families are not sampled.
        tokens: the budget.
        seed: of the hashes.
    """
    allowed = ~held_out(known, seed)
    allowed[known.family[reserved]] = False
    return choose_families(known, known.text_bytes, int(tokens * BYTES_PER_TOKEN), allowed, seed)


def copies_that_fit(known: Catalogue, size: Int64, limit: int, seed: int) -> Int64:
    """Return how many copies of each text fit into its family's part of a sample, (documents,).

    All of a family up to the limit; of a larger one the texts that repeat most first, by hash among
    equals, the last of them with as many copies as fit. 0 for a document that is itself a copy.

    Args:
        known: the documents.
        size: of each document's text, in any unit, (documents,).
        limit: of a family, in the same unit.
        seed: of the hash that orders texts.
    """
    texts = np.flatnonzero(known.first & (size <= limit))
    hashed = keyed_hash(known.text_key[texts], seed + _ORDER)
    order = texts[np.lexsort((hashed, -known.repetition[texts], known.family[texts]))]
    whole = size[order] * known.exact_count[order]
    before = np.cumsum(whole) - whole
    _, first, texts_of = np.unique(known.family[order], return_index=True, return_counts=True)
    left = limit - before + np.repeat(before[first], texts_of)
    copies = np.zeros(len(size), np.int64)
    copies[order] = (left // np.maximum(size[order], 1)).clip(0, known.exact_count[order])
    return copies


def family_repetition(known: Catalogue) -> Float64:
    """Return each family's mean repetition, weighted by bytes, (families,)."""
    count = len(known.family_key)
    weight = np.maximum(known.text_bytes, 1)
    total = np.bincount(known.family, weight, count)
    return np.asarray(
        np.bincount(known.family, weight * known.repetition, count) / np.maximum(total, 1.0)
    )


def take_that_fit(order: Int64, size: Int64, budget: int) -> Int64:
    """Return those of `order`, in order, that still fit into `budget`, leaving out the others."""
    chosen = []
    for number in order.tolist():
        if size[number] <= budget:
            chosen.append(number)
            budget -= int(size[number])
            if budget <= 0:
                break
    return np.array(chosen, np.int64)


def strata(repetition: Float64) -> Int64:
    """Return floor(log2(repetition)), in its shape: 0 for text that occurs once."""
    return np.floor(np.log2(np.maximum(repetition, 1.0) + 1e-9)).astype(np.int64)


def document_order(known: Catalogue, seed: int) -> Int64:
    """Return all documents in the order of a hash of their texts."""
    return np.argsort(keyed_hash(known.text_key, seed + _ORDER), kind="stable")


def _by_repetition(order: Int64, repetition: Float64, size: Int64, budget: int) -> Int64:
    """Return families of each power of two of repetition, with equal shares of the budget.

    What is left over goes first to those levels where families are small and tell most.
    """
    order = order[repetition[order] >= REPEATED]
    level = np.minimum(strata(repetition)[order], SATURATED_LEVEL)
    down = sorted(set(level.tolist()), reverse=True)
    up = sorted(down, key=lambda name: (name < TELLING_LEVEL, name))
    chosen: list[Int64] = []
    for names in (down, up):
        for place, name in enumerate(names):
            candidates = order[(level == name) & ~np.isin(order, _joined(chosen))]
            part = take_that_fit(candidates, size, budget // (len(names) - place))
            if not len(part) and names is down:
                part = take_that_fit(candidates, size, budget)[:1]
            chosen.append(part)
            budget -= int(size[part].sum())
    return _joined(chosen)


def _joined(parts: list[Int64]) -> Int64:
    return np.concatenate([*parts, np.zeros(0, np.int64)])
