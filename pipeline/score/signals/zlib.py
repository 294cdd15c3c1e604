"""Compressed size: what repeats within a text can be guessed without having been learnt.

Carlini et al. 2021 (section 5.2) divide perplexity by the zlib size. Others disagree on the
normalisation; bits of compressed text per byte of text does not depend on its length, but for the
few bytes of any stream's header.
"""

from __future__ import annotations

import zlib

LEVEL = 9
RAW_DEFLATE = -15


def zlib_bits_per_byte(text: bytes) -> float:
    """Return the raw deflate size of a text in bits per byte; 0 of an empty one.

    It may be above 8 for a few random bytes.
    """
    if not text:
        return 0.0
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW_DEFLATE)
    return 8.0 * len(packer.compress(text) + packer.flush()) / len(text)
