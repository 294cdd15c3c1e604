"""Sums of an audit: shares by set with their intervals, and the distance of generated texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.text.arrays import Flags, Float64, Int64

LONG_RUN = 50  # words
Z = 1.959963984540054  # of a two-sided interval of 95%


@dataclass(frozen=True)
class Share:
    """A share with its interval of 95%.

    Attributes:
        value: the share.
        low: the low end.
        high: the high end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class TextSet:
    """What the corpus has of one set of texts: a field of the rows of a file.

    Attributes:
        file: the file; empty for all texts.
        split: train, validation or test, where the path of the file tells.
        field: the field; empty for all.
        texts: texts with a word.
        words: their words.
        covered_words: those in runs that occur in the corpus.
        covered: their share, with an interval over the texts.
        with_run: texts with a run that occurs.
        long_texts: texts of at least `LONG_RUN` words.
        long_runs: the share of these with a run of `LONG_RUN` words that occurs; None without any.
    """

    file: str
    split: str | None
    field: str
    texts: int
    words: int
    covered_words: int
    covered: Share
    with_run: int
    long_texts: int
    long_runs: Share | None


@dataclass(frozen=True)
class Distance:
    """How far some texts are from the nearest document, and held-out documents from theirs.

    Attributes:
        texts: texts with a word.
        by_jaccard: the mean over the texts of the least 1 - Jaccard.
        by_containment: that of the least 1 - share of the text's shingles in one document.
        held_out: texts of the corpus, cut to `held_out_words`, each without its own document.
        held_out_words: words of each of these, the median of the texts.
        held_out_by_jaccard: the same mean over them.
        held_out_by_containment: the same mean over them.
    """

    texts: int
    by_jaccard: float | None
    by_containment: float | None
    held_out: int
    held_out_words: int
    held_out_by_jaccard: float | None
    held_out_by_containment: float | None


def share_of(parts: Int64, wholes: Int64) -> Share:
    """Return the share of the sums of two columns, with its interval over the rows.

    It is Wilson's interval for as many draws as the variance of the ratio, to first order, is
    worth: the rows are what was drawn, not their words.
    """
    total, rows = int(wholes.sum()), int((wholes > 0).sum())
    value = float(parts.sum() / total)
    spread = float(np.sum((parts - value * wholes) ** 2)) / total**2
    draws = value * (1 - value) / spread if spread > 0 else rows
    draws = min(draws, float(total))
    middle = (value + Z * Z / (2 * draws)) / (1 + Z * Z / draws)
    half = Z / (1 + Z * Z / draws) * np.sqrt(value * (1 - value) / draws + (Z / draws / 2) ** 2)
    return Share(value, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def sets_of(audited: pa.Table) -> tuple[TextSet, ...]:
    """Return the sums of each field of each file, after those of all texts together."""
    columns = {name: audited[name].to_numpy() for name in ("words", "covered_words", "longest_run")}
    names = [audited[name].to_pylist() for name in ("file", "split", "field")]
    keys = list(zip(*names, strict=True))
    every = ("", None, "")
    sums = [_sum(every, columns, np.ones(len(keys), np.bool_))]
    sums += [
        _sum(key, columns, np.array([one == key for one in keys]))
        for key in sorted(set(keys), key=lambda one: (one[0], one[2]))
    ]
    return tuple(one for one in sums if one is not None)


def _sum(
    key: tuple[str, str | None, str], columns: dict[str, Int64], chosen: Flags
) -> TextSet | None:
    """Return the sums of some texts; None when none of them has a word."""
    chosen = chosen & (columns["words"] > 0)
    if not chosen.any():
        return None
    words, covered, longest = (column[chosen] for column in columns.values())
    long = words >= LONG_RUN
    found = (longest[long] >= LONG_RUN).astype(np.int64)
    return TextSet(
        *key,
        texts=words.size,
        words=int(words.sum()),
        covered_words=int(covered.sum()),
        covered=share_of(covered, words),
        with_run=int((longest > 0).sum()),
        long_texts=int(long.sum()),
        long_runs=share_of(found, np.ones_like(found)) if found.size else None,
    )


def distance_of(
    near: Float64, inside: Float64, held_out: tuple[Float64, Float64], words: int
) -> Distance:
    """Return the memorization distance of some texts.

    Args:
        near: the highest Jaccard of each text with a document.
        inside: the largest share of each text in a document.
        held_out: the same of texts of the corpus, each without its own document.
        words: of each of these.
    """
    return Distance(
        near.size,
        _mean(near),
        _mean(inside),
        held_out[0].size,
        words,
        _mean(held_out[0]),
        _mean(held_out[1]),
    )


def _mean(similarity: Float64) -> float | None:
    return float(np.mean(1 - similarity)) if similarity.size else None
