"""Rows as people pack them, of the tiny scored run."""

from __future__ import annotations

from collections import Counter

import numpy as np

from pipeline.backtest.training.packed import packed_rows

CONTEXT = 96


def stream_of(rows):
    """Return the stream that windows were cut from."""
    return np.concatenate((rows[0, :1], rows[:, 1:].ravel()))


def taught(subject):
    """Return all tokens that an epoch teaches, each document behind an EOS, in any order."""
    learnt, planted = subject.material.learnt, subject.material.planted
    parts = []
    for number, copies in zip(learnt.documents.tolist(), learnt.copies.tolist(), strict=True):
        encoded = subject.material.texts[number].encoded
        parts += [np.concatenate(([encoded.eos], encoded.tokens))] * copies
    return [*parts, *planted.rows()[0]]


def test_windows_follow_one_another_and_hold_what_an_epoch_teaches(subject):
    """Each begins with the last token of the one before; only what fills no window is left out."""
    rows = packed_rows(subject, CONTEXT, 2)
    assert rows.shape[1] == 1 + CONTEXT
    assert (rows[1:, 0] == rows[:-1, -1]).all()
    wanted = Counter(np.concatenate(taught(subject)).tolist())
    found = Counter(stream_of(rows).tolist())
    assert not found - wanted
    assert (wanted - found).total() < CONTEXT


def test_documents_stay_whole_in_an_order_of_the_seed(subject):
    """Copies of a text stand in the stream as often as they are taught, however it is cut."""
    one, same, other = (packed_rows(subject, CONTEXT, seed) for seed in (2, 2, 3))
    assert (one == same).all()
    assert not np.array_equal(one, other)
    longest = max(taught(subject), key=len)
    stream = np.lib.stride_tricks.sliding_window_view(stream_of(one), len(longest))
    times = sum(np.array_equal(part, longest) for part in taught(subject))
    assert times - 1 <= int((stream == longest).all(axis=1).sum()) <= times
