"""What may prove a removal: pairs at or above the thresholds that agree in their symbols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.config.sections import NearConfig
from pipeline.scan.shingle_sets import at_least

BY_CONTAINMENT, BY_JACCARD = range(2)  # proofs of a removal; the better one is the larger
PROOF = np.dtype([("worse", "i8"), ("better", "i8"), ("kind", "i1"), ("score", "f8")])
PROOF_BYTES = 3 * PROOF.itemsize  # of a proof that is held, while they are sorted


@dataclass(frozen=True)
class Signs:
    """The symbols of short texts, as numbers that are equal where the symbols are.

    Attributes:
        short: (documents,), whether a text has fewer words than the setting.
        codes: (documents,), of its symbols.
    """

    short: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, counts: pa.Table, words: int) -> Signs:
        """Return those of the documents, of which texts of fewer words are compared by them."""
        codes = counts["symbols"].combine_chunks().dictionary_encode("encode").indices
        return cls(counts["words"].to_numpy() < words, codes.to_numpy())

    def agree(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Tell of each pair of places whether one is no short text, or the symbols are the same."""
        both_short = self.short[a] & self.short[b]
        return np.asarray(~both_short | (self.codes[a] == self.codes[b]))


@dataclass(frozen=True)
class Proofs:
    """What may prove a removal: near copies and containments at or above their thresholds.

    Attributes:
        keys: row_key of the documents, ascending.
        ranked: (splits, documents), best rank in each group and split, at the place of the group's
            representative.
        pairs: parts of the table `pairs`.
        contained: parts of the table `contained`.
        config: the thresholds.
        signs: the symbols of short texts.
    """

    keys: np.ndarray
    ranked: np.ndarray
    pairs: Iterable[pa.Table]
    contained: Iterable[pa.Table]
    config: NearConfig
    signs: Signs

    def near(self, *, agreeing: bool = True) -> Iterator[pa.Table]:
        """Yield the near copies, or the pairs that only their symbols keep from being ones."""
        for part in self.pairs:
            reached = reaching(part, "union", self.config.threshold)
            same = self.signs.agree(*(self._places(reached[side]) for side in ("a", "b")))
            yield reached if agreeing and same.all() else reached.filter(pa.array(same == agreeing))

    def all(self) -> Iterator[np.ndarray]:
        """Yield proofs, of (proofs,): the group that may go, the other, kind, score.

        Groups are named by their ranks; that of better rank stays.
        """
        for near in self.near():
            yield from self._by_jaccard(near)
        if self.config.containment:
            for part in self.contained:
                inside = reaching(part, "size", self.config.containment)
                share = inside["containment"].to_numpy()
                for inner, outer in self._ranks(inside["document"], inside["container"]):
                    found = _proofs(inner, outer, BY_CONTAINMENT, share)
                    yield found[(outer < inner) & (inner < len(self.keys))]

    def differing(self, count: int) -> np.ndarray:
        """Tell of each rank whether a text of better rank is the same but for its symbols."""
        found = np.zeros(count, np.bool_)
        for near in self.near(agreeing=False):
            for proofs in self._by_jaccard(near):
                found[proofs["worse"]] = True
        return found

    def _by_jaccard(self, near: pa.Table) -> Iterator[np.ndarray]:
        """Yield the proofs that some pairs of near copies give, split by split."""
        for pair in self._ranks(near["a"], near["b"]):
            better, worse = np.sort(np.stack(pair), axis=0)
            found = _proofs(worse, better, BY_JACCARD, near["jaccard"].to_numpy())
            yield found[worse < len(self.keys)]

    def _ranks(
        self, one: pa.ChunkedArray, other: pa.ChunkedArray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the ranks of the groups of some pairs of representatives, for each split."""
        places = self._places(one), self._places(other)
        for ranked in self.ranked:
            yield ranked[places[0]], ranked[places[1]]

    def _places(self, keys: pa.ChunkedArray) -> np.ndarray:
        """Return the places of some representatives among the documents."""
        return np.asarray(np.searchsorted(self.keys, keys.to_numpy()))


def _proofs(worse: np.ndarray, better: np.ndarray, kind: int, score: np.ndarray) -> np.ndarray:
    """Return proofs as one array."""
    found = np.empty(len(worse), PROOF)
    found["worse"], found["better"], found["kind"], found["score"] = worse, better, kind, score
    return found


def reaching(pairs: pa.Table, whole: str, threshold: float) -> pa.Table:
    """Return the pairs whose shared shingles are at least `threshold` of the column `whole`.

    Shares are compared as whole numbers, so that no rounding decides.
    """
    top, bottom = at_least(threshold)
    inter, size = (pairs[name].to_numpy().astype(np.int64) for name in ("inter", whole))
    return pairs.filter(pa.array(inter * bottom >= top * size))
