"""Text that no target was taught: arms are refilled from it and their loss is measured on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.backtest.arms.retention import rows_needed
from pipeline.backtest.subject import Subject
from pipeline.errors import InputError
from pipeline.score.sequences.training_rows import read_texts, token_rows, tokenized
from pipeline.score.slices import ROW_TOKENS, SEQUENCE
from pipeline.text.arrays import Int64
from pipeline.text.hashing import keyed_hash

LEAST_FAMILIES = 200  # of either part
LOSS_SEQUENCES = 5  # of each family that the loss is measured on: 1,000 in all
_PARTS = 33
MARGIN = 1.3  # of bytes that are read: documents end within a sequence


@dataclass(frozen=True)
class Reserve:
    """Rows of families that are not in the sample, EOS and 64 tokens each.

    Attributes:
        refill: to train on in place of what an arm removes, (rows, 65).
        families: how many these are of.
        held: to measure the loss on, (sequences, 65).
        held_families: how many these are of.
    """

    refill: Int64
    families: int
    held: Int64
    held_families: int


def reserve_of(subject: Subject, wanted: int) -> Reserve:
    """Return rows of families that are not in the sample, nor among the plants.

    Every arm takes the first of the same rows, as many as any of them could take where the corpus
    has so many: what is asked for beside an arm changes nothing of it.

    Args:
        subject: the run.
        wanted: rows that are taken from them at most.

    Raises:
        InputError: when the corpus has too few such families, or too few rows in them.
    """
    families = _families(subject)
    held = families[:LEAST_FAMILIES]
    most = max(len(subject.material.learnt.rows), rows_needed(subject.work.config.proxy.batch))
    refill, of_refill = _rows(subject, families[LEAST_FAMILIES:], most, most)
    kept, of_kept = _rows(subject, held, len(held) * LOSS_SEQUENCES, LOSS_SEQUENCES)
    if of_refill < LEAST_FAMILIES or of_kept < LEAST_FAMILIES or len(refill) < wanted:
        raise _too_little(subject, of_kept, of_refill, len(refill), wanted)
    return Reserve(refill, of_refill, kept, of_kept)


def _too_little(
    subject: Subject, held: int, families: int, sequences: int, wanted: int
) -> InputError:
    """Return the error that says what is missing, and what would give it.

    Args:
        subject: the run.
        held: families that there are to measure a loss on.
        families: those to refill from.
        sequences: to refill with, of these.
        wanted: how many of them are needed.
    """
    lack = [
        f"{need - there:,} {what}"
        for there, need, what in (
            (held, LEAST_FAMILIES, "families to measure the loss on"),
            (families, LEAST_FAMILIES, "families to refill from"),
            (sequences, wanted, "sequences to refill with"),
        )
        if there < need
    ]
    needed, in_all = 2 * LEAST_FAMILIES, len(subject.material.known.family_key)
    smaller = "score with a smaller proxy.sample_tokens, take a larger corpus, or leave --arms out"
    larger = f"take a larger corpus (this one has {in_all:,} families in all), or leave --arms out"
    return InputError(
        "The corpus has too little text outside of the proxies' sample for arms.",
        where=str(subject.work.folder),
        found=f"missing: {', '.join(lack)}",
        expected=f"{needed:,} families of text that no model was taught, each with {SEQUENCE} "
        f"tokens or more: {LEAST_FAMILIES:,} to measure the loss on, {LEAST_FAMILIES:,} to refill "
        "from",
        fix=larger if in_all < needed else smaller,
    )


def _families(subject: Subject) -> Int64:
    """Return the families that no model was taught, with a text long enough, in a hash's order."""
    of, seed = subject.material, subject.work.config.proxy.seed
    known = of.known
    taken = np.zeros(len(known.family_key), np.bool_)
    taken[known.family[of.learnt.documents]] = True
    taken[known.family[of.reserved]] = True
    long = known.text_bytes >= SEQUENCE * 2
    free = np.unique(known.family[known.first & long & ~taken[known.family]])
    return free[np.argsort(keyed_hash(known.family_key[free], seed + _PARTS), kind="stable")]


def _rows(subject: Subject, families: Int64, wanted: int, most: int) -> tuple[Int64, int]:
    """Return rows of the first text of each family, and of how many families they are.

    Rows are taken in rounds over the families, so that few of each are of many.

    Args:
        subject: the run.
        families: in order.
        wanted: rows in all at most.
        most: of a family.
    """
    of = subject.material
    known = of.known
    rank = np.full(len(known.family_key), len(families), np.int64)
    rank[families] = np.arange(len(families))
    numbers = np.flatnonzero(known.first & (rank[known.family] < len(families)))
    numbers = numbers[np.argsort(rank[known.family[numbers]], kind="stable")]
    _, first = np.unique(rank[known.family[numbers]], return_index=True)
    numbers = numbers[first]
    size = sum(len(text.raw) for text in of.texts.values())
    tokens = sum(len(text.encoded.tokens) for text in of.texts.values())
    needed = wanted * SEQUENCE * size / max(1, tokens) * MARGIN
    enough = int(np.searchsorted(np.cumsum(known.text_bytes[numbers]), needed))
    numbers = numbers[: max(LEAST_FAMILIES * 2, enough + 1)]
    texts = tokenized(
        of.language.tokenizer, read_texts(subject.work, known, numbers), of.language.eos
    )
    parts = [token_rows(texts[n], texts[n].starts)[:most] for n in numbers.tolist()]
    parts = [part for part in parts if len(part)]
    if not parts:
        return np.zeros((0, ROW_TOKENS), np.int64), 0
    turn = np.concatenate([np.arange(len(part)) for part in parts])
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    order = np.lexsort((owner, turn))[:wanted]
    return np.concatenate(parts)[order], len(np.unique(owner[order]))
