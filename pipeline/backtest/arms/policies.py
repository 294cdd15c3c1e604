"""What each arm takes out of the rows that a target is taught, and in which order.

`filter` does what the run's own filter decided: copy by copy, with the spans that it cuts. The
others remove as many rows as it did, families whole or not at all: `risk` by expected memorized
sequences avoided per row removed, `count` by decreasing count, `random` by hash. What a proxy
recites without having seen it is guessed, and removing it avoids nothing. Plants are no text of the
corpus, so no policy touches them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.backtest.subject import Subject
from pipeline.score.forecast.features import ScoredPanel
from pipeline.score.sequences.training_rows import Text, by_text, training_rows
from pipeline.score.slices import SEQUENCE
from pipeline.text.arrays import Flags, Float64, Int64
from pipeline.text.hashing import keyed_hash

DROP, CUT = "drop", "cut"
_RANDOM = 31


@dataclass(frozen=True)
class TaughtRows:
    """The rows of the sample, with the text and the copy that each is of.

    Attributes:
        document: number of the document that stands for its text, (rows,).
        copy: number of the copy, (rows,).
        start: first token in the text, (rows,).
        family: number of the family, (rows,).
    """

    document: Int64
    copy: Int64
    start: Int64
    family: Int64


def taught_rows(subject: Subject) -> TaughtRows:
    """Return whose the rows of the sample are, in their order."""
    of = subject.material
    copies = np.zeros(len(of.known.row_key), np.int64)
    copies[of.learnt.documents] = of.learnt.copies
    order = by_text(of.known, of.learnt.documents)
    _, document = training_rows(order, copies, of.texts)
    none = [np.zeros(0, np.int64)]
    start = [np.tile(of.texts[n].starts, int(copies[n])) for n in order]
    copy = [np.repeat(np.arange(copies[n]), len(of.texts[n].starts)) for n in order]
    return TaughtRows(
        document,
        np.concatenate(none + copy),
        np.concatenate(none + start),
        of.known.family[document],
    )


def gone_by_filter(
    subject: Subject, rows: TaughtRows, decisions: pa.Table, cuts: pa.Table
) -> Flags:
    """Return which rows the run's filter takes out, (rows,).

    The first documents of a text are its taught copies. A row goes with its document, or when a
    span is cut from it.

    Args:
        subject: the run.
        rows: the rows of the sample.
        decisions: the table `decisions` of the run.
        cuts: its table `cuts`.
    """
    key = row_keys(subject, rows)
    place = np.searchsorted(decisions["row_key"].to_numpy(), key)
    action = np.array(decisions["action"].to_pylist(), object)[place]
    gone = np.asarray(action == DROP)
    spans: dict[int, list[tuple[int, int]]] = {}
    for one, first, last in zip(
        *(cuts[name].to_pylist() for name in ("row_key", "start_byte", "end_byte")), strict=True
    ):
        spans.setdefault(one, []).append((first, last))
    for number in np.flatnonzero(action == CUT).tolist():
        text = subject.material.texts[int(rows.document[number])]
        begin, end = _bytes(text, int(rows.start[number]))
        own = spans.get(int(key[number]), [])
        gone[number] = any(first < end and last > begin for first, last in own)
    return gone


def families_in_order(
    subject: Subject, rows: TaughtRows, risk: Float64, seed: int
) -> dict[str, Int64]:
    """Return the families of the sample in the order in which each policy removes them.

    Args:
        subject: the run.
        rows: the rows of the sample.
        risk: forecast of each sequence of the panel, each unit by what was fitted on others.
        seed: of the hash.
    """
    known = subject.material.known
    families = np.unique(rows.family)
    tie = keyed_hash(known.family_key[families], seed + _RANDOM)
    count = np.zeros(len(known.family_key))
    np.maximum.at(count, rows.family, known.exact_count[rows.document])
    gain = _gain(subject, rows, risk)
    return {
        "random": families[np.argsort(tie, kind="stable")],
        "count": families[np.lexsort((tie, -count[families]))],
        "risk": families[np.lexsort((tie, -gain[families]))],
    }


def _gain(subject: Subject, rows: TaughtRows, risk: Float64) -> Float64:
    """Return the memorized sequences that each family's rows are expected to add, per row."""
    sequences = len(subject.scored.panel.document)
    family = subject.material.known.family[subject.scored.panel.document]
    size = len(subject.material.known.family_key)
    learnt = np.where(guessed(subject.panel), 0.0, risk)
    return expected_gain(rows, family, learnt[:sequences], size)


def guessed(panel: ScoredPanel) -> Flags:
    """Return which sequences a proxy recites that was not taught them, (sequences,)."""
    flags = [one.memorized & ~one.taught for one in panel.proxies]
    return np.asarray(np.any(flags, axis=0))


def expected_gain(rows: TaughtRows, family: Int64, risk: Float64, families: int) -> Float64:
    """Return the memorized sequences that each family's rows are expected to add, per row.

    A text of many copies is memorized once: its sequences count once, its rows all. A family of
    which nothing was scored is expected to add none.

    Args:
        rows: the rows of the sample.
        family: of each scored sequence, (scored,).
        risk: of each of these; NaN where there is no forecast, (scored,).
        families: how many there are.
    """
    total = np.bincount(rows.family, minlength=families)
    once = np.bincount(rows.family[rows.copy == 0], minlength=families)
    own = np.flatnonzero(np.isfinite(risk))
    seen = np.bincount(family[own], minlength=families)
    mean = np.bincount(family[own], risk[own], families) / np.maximum(seen, 1)
    return np.asarray(mean * once / np.maximum(total, 1))


def gone_by_order(rows: TaughtRows, order: Int64, budget: int) -> Flags:
    """Return which rows go when families are taken in an order while they fit, (rows,)."""
    size = np.bincount(rows.family)
    gone = np.zeros(len(size), np.bool_)
    for family in order.tolist():
        if size[family] <= budget:
            gone[family] = True
            budget -= int(size[family])
    return np.asarray(gone[rows.family])


def row_keys(subject: Subject, rows: TaughtRows) -> np.ndarray:
    """Return the row_key of the copy that each row is of, (rows,)."""
    known = subject.material.known
    first = np.searchsorted(known.row_key, known.representative)
    order = np.argsort(first, kind="stable")
    begin = np.searchsorted(first[order], rows.document)
    return np.asarray(known.row_key[order[begin + rows.copy]])


def _bytes(text: Text, start: int) -> tuple[int, int]:
    """Return the first byte of a sequence and the one past its last."""
    encoded = text.encoded
    return int(encoded.starts[start]), int(encoded.ends[start + SEQUENCE - 1])
