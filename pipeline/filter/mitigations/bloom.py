"""A Bloom filter of runs of tokens (MemFree, Ippolito et al. 2022), and its file.

The file has 64 bytes of header, then the bits. Header, little-endian: the 8 bytes `ROTEBLM1`;
uint32 n (tokens in a run); uint32 hashes; uint32 bits (the filter has 2^bits); uint32 0; uint64
runs entered; zeros. Bit i is bit i & 7 of byte i >> 3. A run is held if the bits (h1 + j * h2) mod
2^bits are set for every j below `hashes`. The hashes are those of
`pipeline.filter.mitigations.token_kernels`.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from pipeline.errors import CorruptFile
from pipeline.filter.mitigations.token_kernels import bloom_add, bloom_holds
from pipeline.text.arrays import Uint8, Uint64

MAGIC = b"ROTEBLM1"
HEADER = struct.Struct("<8sIIIIQ32x")
LEAST_BITS = 10


@dataclass(frozen=True)
class Bloom:
    """A Bloom filter of runs of tokens.

    Attributes:
        n: tokens in a run.
        hashes: bits that are set for each run.
        bits: the filter has 2^bits bits.
        items: runs that were entered.
        cells: the bits, eight in a byte.
    """

    n: int
    hashes: int
    bits: int
    items: int
    cells: Uint8  # (2^bits / 8,)

    def holds(self, tokens: Uint64) -> Uint8:
        """Return 1 for each run of n tokens that the filter holds, (tokens - n + 1,).

        A run that was entered is always held; another one is held by chance, at `expected_rate`.
        """
        return np.asarray(bloom_holds(tokens, self.n, self.hashes, self.bits, self.cells))

    def expected_rate(self) -> float:
        """Return the expected rate of false positives."""
        return float(1 - math.exp(-self.hashes * self.items / 2**self.bits)) ** self.hashes


def bloom(runs: Uint64, n: int, bits_per_run: int) -> Bloom:
    """Return a filter of some runs of tokens.

    Args:
        runs: distinct runs, (runs, n).
        n: tokens in a run.
        bits_per_run: bits of the filter for each run, rounded up to a power of two in all.
    """
    bits = max(LEAST_BITS, math.ceil(math.log2(max(1, len(runs) * bits_per_run))))
    hashes = max(1, round(math.log(2) * 2**bits / max(1, len(runs))))
    made = Bloom(n, min(hashes, 16), bits, len(runs), np.zeros(2**bits // 8, np.uint8))
    bloom_add(np.ascontiguousarray(runs).reshape(-1), n, made.hashes, bits, made.cells)
    return made


def to_bytes(filter_: Bloom) -> bytes:
    """Return the filter as the bytes of its file."""
    head = HEADER.pack(MAGIC, filter_.n, filter_.hashes, filter_.bits, 0, filter_.items)
    return head + filter_.cells.tobytes()


def from_bytes(data: bytes, where: str = "memfree.bloom") -> Bloom:
    """Return the filter of a file's bytes.

    Args:
        data: the whole file.
        where: the name of the file, for messages.

    Raises:
        CorruptFile: When the bytes are no filter, or not all of one.
    """
    good = len(data) >= HEADER.size and data[: len(MAGIC)] == MAGIC
    if good:
        _, n, hashes, bits, _, items = HEADER.unpack(data[: HEADER.size])
        cells = np.frombuffer(data, np.uint8, offset=HEADER.size)
        if bits < 64 and cells.size == 2**bits // 8:
            return Bloom(n, hashes, bits, items, cells)
    raise CorruptFile(
        "A file is not a Bloom filter of rote, or is cut short.",
        where=where,
        found=f"{len(data)} bytes",
        expected=f"{MAGIC.decode()} and as many bits as its header says",
        fix="write it again: rote filter RUN --verify",
    )
