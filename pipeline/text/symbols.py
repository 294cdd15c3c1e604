"""The symbols of short texts, where signs carry the meaning: sums, comparisons, prices, emoji.

Two texts of equal words may say different things: "3 + 2" and "3 - 2", `x < y` and `x >= y`, a line
with another emoji. A symbol is a mathematical sign, a currency sign, a pictogram or `^`; and one of
`- * / % & !` where it is an operator: between numbers, single letters or brackets, a sign before a
number, a percent sign after one, `!` before `=`. Ordinary punctuation, bullets, hyphens and the
lines of tables are none, nor are (c), (r), TM and the degree sign.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pyarrow as pa

from pipeline.text.arrays import Flags, Uint8
from pipeline.text.segmentation import text_buffers
from pipeline.text.symbol_kernels import OPERATOR, SYMBOL, take_symbols
from pipeline.text.unicode14 import CODE_POINTS

LONGEST = 64  # bytes of symbols that are kept as they are
OPERATORS = "-*/%&!"
# Categories Sm, Sc and So of Unicode 14.0 and `^`, less some signs of typography, the lines of
# tables and U+FFFD; all of the blocks of emoji, so that later ones count too: inclusive.
SYMBOL_RANGES = """
24 2b 3c-3e 5e 7c 7e a2-a6 ac b1 d7 f7 3f6 482 58d-58f 606-608 60b 60e-60f 6de 6e9 6fd-6fe 7f6
7fe-7ff 9f2-9f3 9fa-9fb af1 b70 bf3-bfa c7f d4f d79 e3f f01-f03 f13 f15-f17 f1a-f1f f34 f36 f38
fbe-fc5 fc7-fcc fce-fcf fd5-fd8 109e-109f 1390-1399 166d 17db 1940 19de-19ff 1b61-1b6a 1b74-1b7c
2044 2052 207a-207c 208a-208c 20a0-20c0 2100-2101 2103-2106 2108-2109 2114 2116-2118 211e-211f
2121 2123 2125 2127 2129 212e 213a-213b 2140-2144 214a-214d 214f 218a-218b 2190-2307 230c-2328
232b-2426 2440-244a 249c-24e9 25a0-2767 2794-27c4 27c7-27e5 27f0-2982 2999-29d7 29dc-29fb
29fe-2b73 2b76-2b95 2b97-2bff 2ce5-2cea 2e50-2e51 2e80-2e99 2e9b-2ef3 2f00-2fd5 2ff0-2ffb 3004
3012-3013 3020 3036-3037 303e-303f 3190-3191 3196-319f 31c0-31e3 3200-321e 322a-3247 3250
3260-327f 328a-32b0 32c0-33ff 4dc0-4dff a490-a4c6 a828-a82b a836-a839 aa77-aa79 fb29 fd40-fd4f
fdcf fdfc-fdff fe62 fe64-fe66 fe69 ff04 ff0b ff1c-ff1e ff5c ff5e ffe0-ffe2 ffe4-ffe6 ffe8-ffee
fffc 10137-1013f 10179-10189 1018c-1018e 10190-1019c 101a0 101d0-101fc 10877-10878 10ac8 1173f
11fd5-11ff1 16b3c-16b3f 16b45 1bc9c 1cf50-1cfc3 1d000-1d0f5 1d100-1d126 1d129-1d164 1d16a-1d16c
1d183-1d184 1d18c-1d1a9 1d1ae-1d1ea 1d200-1d241 1d245 1d300-1d356 1d6c1 1d6db 1d6fb 1d715 1d735
1d74f 1d76f 1d789 1d7a9 1d7c3 1d800-1d9ff 1da37-1da3a 1da6d-1da74 1da76-1da83 1da85-1da86 1e14f
1e2ff 1ecac 1ecb0 1ed2e 1eef0-1eef1 1f000-1fb92 1fb94-1fbca
"""


@cache
def _classes() -> Uint8:
    """Return what each code point is: no symbol, a symbol, or one where it is an operator."""
    table = np.zeros(CODE_POINTS, np.uint8)
    for part in SYMBOL_RANGES.split():
        first, _, last = part.partition("-")
        table[int(first, 16) : int(last or first, 16) + 1] = SYMBOL
    table[[ord(sign) for sign in OPERATORS]] = OPERATOR
    return table


def symbols(texts: pa.LargeStringArray, asked: Flags) -> pa.StringArray:
    """Return the symbols of each text that is asked for, in order, and null for the others.

    What is longer than `LONGEST` bytes is cut short and ends in a digest of all of it, so that two
    of them are equal only if the symbols are.

    Args:
        texts: valid UTF-8.
        asked: (texts,), which are looked at.
    """
    offsets, data = text_buffers(texts)
    room = int(np.diff(offsets)[asked].sum())
    found, ends = np.empty(room, np.uint8), np.zeros(len(texts) + 1, np.int64)
    take_symbols(data, offsets, asked, _classes(), found, ends)
    taken = pa.Array.from_buffers(
        pa.large_string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(found)]
    )
    mask = pa.array(~asked)
    if int(np.diff(ends).max(initial=0)) <= LONGEST:
        return taken.cast(pa.string()) if not mask.true_count else _masked(taken, asked)
    short = [_shortened(value) for value in taken.to_pylist()]
    return pa.array(short, pa.string(), mask=~asked)


def _masked(taken: pa.LargeStringArray, asked: Flags) -> pa.StringArray:
    """Return strings with null in place of those that were not asked for."""
    bits = pa.py_buffer(np.packbits(asked, bitorder="little"))
    masked = pa.Array.from_buffers(taken.type, len(taken), [bits, *taken.buffers()[1:]])
    return masked.cast(pa.string())


def _shortened(value: str) -> str:
    """Return symbols as they are, or their beginning and a digest of all of them."""
    raw = value.encode()
    if len(raw) <= LONGEST:
        return value
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return f"{raw[: LONGEST // 2].decode(errors='ignore')} #{digest}"
