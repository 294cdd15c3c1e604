"""The loss mask of the goldfish arm: that of the filter, read at the tokens of each training row.

The arm shows what users get, so it has no mask of its own. The filter masks the tokens of a whole
document (`pipeline.filter.mitigations.goldfish`); a training row is a sequence cut from a document.
So a row takes the document's mask at its own tokens, also near its start, where the tokens that
decide lie before the row.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.config.sections import Config
from pipeline.filter.mitigations.token_kernels import in_the_loss
from pipeline.score.sequences.training_rows import Text
from pipeline.score.slices import SEQUENCE
from pipeline.text.arrays import Flags, Int64


def goldfish_settings(config: Config) -> tuple[int, int]:
    """Return k and h: those of the run's own loss masks, or the back-test's where it writes none.

    One token in k is left out of the loss; the h tokens before it decide which.
    """
    mitigation, backtest = config.mitigation, config.backtest
    if mitigation.goldfish_k:
        return mitigation.goldfish_k, mitigation.goldfish_h
    return backtest.goldfish_k, backtest.goldfish_context


def rows_in_the_loss(
    texts: Mapping[int, Text], owner: Int64, start_token: Int64, masked: Flags, k: int, h: int
) -> Flags:
    """Return which tokens of each training row count in the loss, an array of (rows, 64).

    Args:
        texts: the tokenized text of each document that owns a row, by its number.
        owner: the document of each row, (rows,).
        start_token: the place of each row's first token in its document, (rows,).
        masked: whether a document is masked, (documents,); in the others every token counts.
        k: one token in so many is left out.
        h: tokens before a token whose hash decides whether it is left out.
    """
    counts = np.ones((len(owner), SEQUENCE), np.bool_)
    rows = np.flatnonzero(masked[owner])
    numbers, which = np.unique(owner[rows], return_inverse=True)
    masks = [
        in_the_loss(texts[number].encoded.tokens.astype(np.uint64), k, h)
        for number in numbers.tolist()
    ]
    if masks:
        begins = np.cumsum([0, *(mask.size for mask in masks[:-1])], dtype=np.int64)
        first = begins[which] + start_token[rows]
        counts[rows] = np.concatenate(masks)[first[:, None] + np.arange(SEQUENCE)] == 1
    return counts
