"""Templates and repetition: how much of a suffix follows from what stands before it.

Text that repeats itself or counts up is completed without having been learnt: such templates are
the first thing a memorization score must be read beside (the reconstructed class of Prashanth et
al. 2024), and the extraction benchmark of Carlini et al. wants suffixes of more than one
bit a token that are not in their prefix. All of it is computed from token numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.text.arrays import Float64, Int64

LEAST_CONTEXT, MOST_CONTEXT = 2, 6  # tokens
PIECE = 3  # tokens of an n-gram
ROWS = 2_048  # of 64 tokens: the square of them is 8 MB


def continuation_share(sequences: Int64, prefixes: Int64) -> Float64:
    """Return the share of the occurrences of a prefix that go on as its sequence does, (rows,).

    It is 1 for the well-specified suffixes of the extraction benchmark, the only ones that can be
    asked back with certainty. A sequence whose prefix has no count of its own (no whole word) may
    seem to occur more often than it: 1.

    Args:
        sequences: occurrences of each sequence in the corpus, (rows,).
        prefixes: occurrences of its prefix, (rows,).
    """
    return np.asarray(np.minimum(1.0, sequences / np.maximum(prefixes, 1)))


def suffix_entropy(tokens: Int64, suffix: int) -> Float64:
    """Return the entropy of the distribution of each row's last `suffix` tokens, (rows,).

    In bits per token: at most log2(suffix), of tokens that all differ.
    """
    ordered = np.sort(tokens[:, -suffix:], axis=1)
    new = np.concatenate((np.ones((len(ordered), 1), np.bool_), np.diff(ordered, axis=1) != 0), 1)
    group = np.cumsum(new, axis=1) - 1 + suffix * np.arange(len(ordered))[:, None]
    counts = np.bincount(group.ravel(), minlength=group.size).reshape(group.shape)
    share = counts / suffix
    return np.asarray(-(share * np.log2(np.where(share > 0, share, 1.0))).sum(1)) + 0.0


def suffix_in_prefix(tokens: Int64, suffix: int) -> Float64:
    """Return the share of each suffix's 3-grams that its prefix holds too, (rows,).

    Args:
        tokens: prefix and suffix, (rows, tokens).
        suffix: tokens of the suffix.
    """
    return _joined(_in_prefix(rows, suffix) for rows in _parts(tokens))


def template_share(tokens: Int64, suffix: int, folded: Int64) -> Float64:
    """Return the share of suffix tokens that copying would guess, digits apart, (rows,).

    The guess for a token is what followed the earlier place that agrees with it in most tokens
    before, two at least and six at most, among equals the latest (an induction head's rule: Olsson
    et al. 2022).

    Args:
        tokens: prefix and suffix, (rows, tokens).
        suffix: tokens of the suffix.
        folded: by token number, one number for all tokens that differ in digits only, so that
            numbered lists and dates are templates, (vocabulary,).
    """
    return _joined(_copied(folded[rows], suffix) for rows in _parts(tokens))


def digits_folded(spelled: list[bytes]) -> Int64:
    """Return for each token number the first one that spells the same but for digits.

    Tokens without a digit stand for themselves.

    Args:
        spelled: bytes of each token, by number.
    """
    digits = bytes.maketrans(b"123456789", b"000000000")
    first: dict[bytes, int] = {}
    folded = np.arange(len(spelled), dtype=np.int64)
    for number, token in enumerate(spelled):
        if any(48 <= byte <= 57 for byte in token):
            folded[number] = first.setdefault(token.translate(digits), number)
    return folded


def _in_prefix(rows: Int64, suffix: int) -> Float64:
    """Return `suffix_in_prefix` of some rows."""
    cut = rows.shape[1] - suffix
    windows = np.lib.stride_tricks.sliding_window_view(rows, PIECE, axis=1)
    before, after = windows[:, : cut - PIECE + 1], windows[:, cut:]
    same = np.ones((len(rows), after.shape[1], before.shape[1]), np.bool_)
    for place in range(PIECE):
        same &= after[:, :, None, place] == before[:, None, :, place]
    return np.asarray(same.any(2).mean(1))


def _copied(rows: Int64, suffix: int) -> Float64:
    """Return the share of suffix tokens that the rule of `template_share` guesses, (rows,).

    The guess for token t is from the place j < t whose tokens before agree longest, then the last
    one.
    """
    size = rows.shape[1]
    places = np.arange(size)
    first = size - suffix
    same = np.broadcast_to(places[None, :] < places[first:, None], (len(rows), suffix, size)).copy()
    agreed = np.zeros(same.shape, np.int16)  # (rows, suffix, tokens)
    for back in range(1, MOST_CONTEXT + 1):
        shifted = np.roll(rows, back, axis=1)
        same &= shifted[:, first:, None] == shifted[:, None, :]
        same[:, :, :back] = False
        agreed += same
    best = size - 1 - agreed[:, :, ::-1].argmax(2)
    length = np.take_along_axis(agreed, best[:, :, None], 2)[:, :, 0]
    hit = np.take_along_axis(rows, best, 1) == rows[:, first:]
    return np.asarray((hit & (length >= LEAST_CONTEXT)).mean(1))


def _parts(tokens: Int64) -> Iterator[Int64]:
    """Yield rows, at most ROWS at a time."""
    for start in range(0, len(tokens), ROWS):
        yield tokens[start : start + ROWS]


def _joined(parts: Iterator[Float64]) -> Float64:
    return np.concatenate([np.zeros(0), *parts])
