"""Features of scored sequences that need no model: of their tokens and of their text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.score.sequences.occurrences import Places
from pipeline.score.sequences.panel import Panel
from pipeline.score.sequences.training_rows import Text
from pipeline.score.signals.markers import non_latin_share, redaction_share
from pipeline.score.signals.rarity import rare_share, rare_tokens, token_bits
from pipeline.score.signals.repetition import (
    digits_folded,
    suffix_entropy,
    suffix_in_prefix,
    template_share,
)
from pipeline.score.signals.zlib import zlib_bits_per_byte
from pipeline.score.slices import SEQUENCE, SUFFIX
from pipeline.text.arrays import Int64

Float32 = NDArray[np.float32]


def text_features(
    panel: Panel, texts: Mapping[int, Text], places: Places, tokens: Int64, counts: Int64
) -> dict[str, Float32]:
    """Return the columns of `sequences` that need neither a model nor a count, (sequences,) each.

    Args:
        panel: the sequences.
        texts: by number of the document.
        places: the bytes of each sequence.
        tokens: of each sequence, (sequences, 64).
        counts: how often each token is in the texts of the sample and the panel, each counted once,
            which is not the whole corpus, (vocabulary,).
    """
    bits = token_bits(tokens, counts)
    columns = {
        "suffix_entropy_bits": suffix_entropy(tokens, SUFFIX),
        "suffix_in_prefix": suffix_in_prefix(tokens, SUFFIX),
        "template_share": template_share(
            tokens, SUFFIX, digits_folded(_spelled(panel, texts, tokens, len(counts)))
        ),
        "rare_token_share": rare_share(tokens, rare_tokens(counts)),
        "token_bits": bits[:, -SUFFIX:].mean(1),
        "rarest_token_bits": bits.max(1, initial=0.0),
        **_of_text(panel, texts, places),
    }
    return {name: column.astype(np.float32) for name, column in columns.items()}


def _spelled(panel: Panel, texts: Mapping[int, Text], tokens: Int64, size: int) -> list[bytes]:
    """Return the bytes of each token number that the panel holds, by its first place there."""
    spelled = [b""] * size
    names, first = np.unique(tokens, return_index=True)
    for name, place in zip(names.tolist(), first.tolist(), strict=True):
        row, step = divmod(place, SEQUENCE)
        text = texts[int(panel.document[row])]
        at = int(panel.start_token[row]) + step
        start, end = int(text.encoded.starts[at]), int(text.encoded.ends[at])
        spelled[name] = text.raw[start:end]
    return spelled


def _of_text(
    panel: Panel, texts: Mapping[int, Text], places: Places
) -> dict[str, NDArray[np.float64]]:
    """Return the columns that are of the text itself, (sequences,) each."""
    found = np.zeros((3, len(panel.document)))
    for row, number in enumerate(panel.document.tolist()):
        data = texts[number].raw[places.start_byte[row] : places.end_byte[row]]
        text = data.decode()
        found[:, row] = zlib_bits_per_byte(data), redaction_share(text), non_latin_share(text)
    return dict(
        zip(("zlib_bits_per_byte", "redaction_share", "non_latin_share"), found, strict=True)
    )
