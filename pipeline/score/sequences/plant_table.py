"""The rows of `plants`: how often each planted text was taught, and what proxies say of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from pipeline.score.proxy.ensemble import Proxy
from pipeline.score.proxy.pool import WorkerPool
from pipeline.score.sequences.plants import Plants
from pipeline.score.sequences.sequence_table import nested, scored_rows
from pipeline.score.signals.repetition import (
    continuation_share,
    digits_folded,
    suffix_entropy,
    template_share,
)
from pipeline.score.signals.zlib import zlib_bits_per_byte
from pipeline.score.slices import PREFIX, SEQUENCE, SUFFIX
from pipeline.text.arrays import Int64
from schemas.score.plants import PLANTS


def plant_table(
    plants: Plants, proxies: list[Proxy], tokenizer: Tokenizer, pool: WorkerPool
) -> pa.Table:
    """Return the rows of `plants`; empty without plants or proxies.

    Args:
        plants: what the trainings carried.
        proxies: the trained models.
        tokenizer: the tokenizer of them all.
        pool: the threads that score.
    """
    chosen = np.flatnonzero(plants.scored)
    if not len(chosen) or not proxies:
        return PLANTS.empty_table()
    tokens = plants.tokens[chosen]
    spelled = [tokenizer.decode([number]).encode() for number in range(1 + int(tokens.max()))]
    texts = [tokenizer.decode(row.tolist()).encode() for row in tokens[:, 1:]]
    features = {
        "zlib_bits_per_byte": np.array([zlib_bits_per_byte(text) for text in texts]),
        "suffix_entropy_bits": suffix_entropy(tokens[:, 1:], SUFFIX),
        "template_share": template_share(tokens[:, 1:], SUFFIX, digits_folded(spelled)),
        "continuation_share": continuation_share(
            plants.counts_of(0, SEQUENCE), plants.counts_of(0, PREFIX)
        )[chosen],
    }
    scored = scored_rows(tokens, _taught(plants, chosen), proxies, pool)
    return pa.table(
        {
            "cluster": plants.cluster[chosen],
            "variant": plants.variant[chosen],
            "kind": pa.array(plants.kind[chosen].tolist(), pa.string()),
            "inside": plants.inside[chosen],
            "copies": plants.copies[chosen],
            "effective_count": plants.effective[chosen],
            "suffix_count": plants.counts_of(PREFIX, SEQUENCE)[chosen],
            "rarest_count": plants.rarest()[chosen],
            **{name: column.astype(np.float32) for name, column in features.items()},
            "proxies": nested(scored, len(chosen)),
        }
    )


def _taught(plants: Plants, chosen: Int64) -> Int64:
    """Return the times an epoch teaches texts to no half, to the first, the second, (texts, 3)."""
    times = np.zeros((len(chosen), 3), np.int64)
    copies = np.where(plants.inside, plants.copies, 0)[chosen]
    times[np.arange(len(chosen)), 1 + plants.half[chosen]] = copies
    return times
