"""The proof that no hash of the corpus stands for two words, from the vocabularies of all chunks.

What compares texts by the hashes of their words rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from pipeline.engine.parts import Parts
from pipeline.engine.spill import Ref, Spill
from pipeline.engine.tables import cell_bytes
from pipeline.scan import word_kernels
from pipeline.scan.word_kernels import COLLISION
from pipeline.scan.words import ChunkPlace, cells, collision
from pipeline.text.arrays import Flags, Int64, Uint8, Uint32, Uint64
from pipeline.text.sorting import group

SHARE = 1 << 14  # entries whose letters are compared at once
MOST_SHARE_BITS = 12
SHARES_AT_ONCE = 16  # that are read together
AT_ONCE = 1 << 18  # entries grouped at once
MOST_BLOCKS = 256
NEW_AT_ONCE = 16  # chunks that are held against all others
FIRST_KNOWN = 2  # others that they are held against at first, then twice as many each time
MOST_NEW = 3 * NEW_AT_ONCE  # more passes over all others take longer than all at once


@dataclass(frozen=True)
class _Vocabulary:
    """The entries of the vocabularies of some chunks, grouped into shares of the hashes.

    Attributes:
        hashes: of each entry.
        lengths: bytes of each entry's letters.
        letters: of all entries, one after another.
        entries: cuts the entries into shares.
        bounds: cuts the letters into shares.
    """

    hashes: Ref
    lengths: Ref
    letters: Ref
    entries: Int64  # (shares + 1,)
    bounds: Int64  # (shares + 1,)


def hold_words(places: Sequence[ChunkPlace], seed: int, parts: Parts) -> int:
    """Show that no hash of the corpus stands for two words; return how many hashes there are.

    The vocabularies are grouped into shares of the hashes that fit a cache, and the letters of
    entries of one hash compared.

    Raises:
        IntegrityError: When two different words have the same hash.
    """
    total = sum(_vocabulary_size(place) for place in places)
    bits = min(MOST_SHARE_BITS, max(0, int(np.ceil(np.log2(max(1, total / SHARE))))))
    each = max(1, int(len(places) * max(AT_ONCE, total // MOST_BLOCKS) / max(1, total)))
    blocks = [places[low : low + each] for low in range(0, len(places), each)]
    held = list(parts.in_order(partial(_grouped, parts.spill, bits), blocks))
    runs = [range(low, low + SHARES_AT_ONCE) for low in range(0, 1 << bits, SHARES_AT_ONCE)]
    counts = list(parts.in_order(partial(_hold, parts.spill, held), runs))
    if COLLISION in counts:
        raise collision(seed)
    return sum(counts)


def _vocabulary_size(place: ChunkPlace) -> int:
    """Return how many entries the vocabulary of a chunk has."""
    return cell_bytes(*place, "hashes") // 8


def _entries(places: Sequence[ChunkPlace]) -> tuple[Uint64, Uint32, Uint8]:
    """Return the hashes of the vocabularies of some chunks, the lengths of their letters, these."""
    parts = [cells(place, ["hashes", "lengths", "letters"]) for place in places]
    return (
        np.concatenate([part["hashes"].view(np.uint64) for part in parts]),
        np.concatenate([part["lengths"].view(np.uint32) for part in parts]),
        np.concatenate([part["letters"] for part in parts]),
    )


def _grouped(spill: Spill, bits: int, places: Sequence[ChunkPlace]) -> _Vocabulary:
    """Return the vocabularies of some chunks, grouped by the top bits of their hashes."""
    hashes, lengths, letters = _entries(places)
    order, entries = group(hashes, bits)
    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    lengths = lengths[order]
    spelled = word_kernels.take_letters(order, ends, letters)
    bounds = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])[entries]
    put = spill.put
    return _Vocabulary(put(hashes[order]), put(lengths), put(spelled), entries, bounds)


def hold_new_words(
    new: Sequence[ChunkPlace], known: Sequence[ChunkPlace], seed: int, parts: Parts
) -> None:
    """Show that no hash stands for two words, where that is known of all but some new chunks.

    A new word that has the letters of one known entry of its hash has those of all others, so it is
    not looked up again: the few chunks that come first have most words, and what is left fits a
    cache.

    Args:
        new: the new chunks.
        known: all others, which were held against one another before.
        seed: of the hashes.
        parts: who runs the parts.

    Raises:
        IntegrityError: When two different words have the same hash.
    """
    if len(new) > MOST_NEW:
        hold_words([*known, *new], seed, parts)
        return
    for low in range(0, len(new), NEW_AT_ONCE):
        own = _entries(new[low : low + NEW_AT_ONCE])
        if not _agree(own, [*known, *new[:low]], parts):
            raise collision(seed)


def _agree(left: tuple[Uint64, Uint32, Uint8], others: Sequence[ChunkPlace], parts: Parts) -> bool:
    """Tell whether entries agree with one another, and with other chunks that do so.

    Args:
        left: hashes, lengths and letters of the entries.
        others: the chunks.
        parts: who runs the parts.
    """
    first, size = 0, FIRST_KNOWN
    while True:
        different, slots, begins = word_kernels.enter(*left)
        met = np.zeros(len(left[0]), np.bool_)
        agreed = different != COLLISION
        agrees = partial(_agrees, (slots, begins, left[0], left[2]))
        for told, there in parts.in_order(agrees, others[first : first + size]):
            agreed &= told
            met |= there
        first, size = first + size, 2 * size
        if not agreed or first >= len(others):
            return bool(agreed)
        left = _not_met(left, slots, begins, met)
        if not len(left[0]):
            return True


def _agrees(own: tuple[Uint32, Int64, Uint64, Uint8], place: ChunkPlace) -> tuple[bool, Flags]:
    """Tell whether a chunk has the letters of the entries, and which of these it has."""
    told, met = word_kernels.agree(*own, *_entries([place]))
    return bool(told), met


def _not_met(
    entries: tuple[Uint64, Uint32, Uint8], slots: Uint32, begins: Int64, met: Flags
) -> tuple[Uint64, Uint32, Uint8]:
    """Return the entries, each once, that were not met.

    Args:
        entries: hashes, lengths and letters.
        slots: their hash table.
        begins: (entries + 1,), cuts the letters.
        met: (entries,).
    """
    order = np.sort(slots[slots > 0].astype(np.int64) - 1)
    order = order[~met[order]]
    letters = word_kernels.take_letters(order, begins, entries[2])
    return entries[0][order], entries[1][order], letters


def _hold(spill: Spill, blocks: Sequence[_Vocabulary], shares: range) -> int:
    """Compare the entries of some shares; return the different hashes, or COLLISION."""
    total, held = 0, [_read(spill, block, shares) for block in blocks]
    for share in range(len(held[0]) if held else 0):
        own = [np.concatenate([block[share][k] for block in held]) for k in range(3)]
        found = int(word_kernels.enter(*own)[0])
        if found == COLLISION:
            return COLLISION
        total += found
    return total


def _read(
    spill: Spill, block: _Vocabulary, shares: range
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return hashes, lengths and letters of some shares of a block, share by share."""
    cut = slice(shares.start, shares.stop + 1)
    entries, bounds = block.entries[cut], block.bounds[cut]
    spans = (block.hashes, entries), (block.lengths, entries), (block.letters, bounds)
    read = [spill.get(ref, int(ends[0]), int(ends[-1])) for ref, ends in spans]
    return [
        (read[0][low:high], read[1][low:high], read[2][first:last])
        for (low, high), (first, last) in zip(
            pairwise((entries - entries[0]).tolist()),
            pairwise((bounds - bounds[0]).tolist()),
            strict=True,
        )
    ]
