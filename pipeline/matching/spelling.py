"""The letters of the words of given texts, which are held against those of a corpus by hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.matching import spelling_kernels
from pipeline.scan.words import cells, collision
from pipeline.text import segmentation as text
from pipeline.text import unicode14
from pipeline.text.arrays import Int64, Uint8, Uint32, Uint64
from pipeline.text.segmentation import Words

FOLDED = np.uint32(0xFFFFFF)  # bits of a table entry: the folded character


@dataclass(frozen=True)
class Spelling:
    """The different words of some texts and their letters.

    Attributes:
        known: the hash of each, ascending; a word's number is its place here + 1.
        ends: number n has the letters from ends[n - 1] to ends[n].
        letters: folded, in UTF-8, one word after the other.
    """

    known: Uint64  # (different words,)
    ends: Int64  # (different words + 1,)
    letters: Uint8  # (bytes,)

    def numbered(self, hashes: Uint64) -> Uint32:
        """Return the number of each word of a vocabulary, 0 for one that the texts do not have."""
        if not self.known.size:
            return np.zeros(hashes.size, np.uint32)
        place = np.minimum(np.searchsorted(self.known, hashes), self.known.size - 1)
        return np.where(self.known[place] == hashes, place + 1, 0).astype(np.uint32)


def spelling_of(texts: pa.LargeStringArray, words: Words, seed: int) -> Spelling:
    """Return the different words of some texts with their letters.

    A Python loop per word of the texts takes 0.3 us each.

    Args:
        texts: the texts.
        words: their words.
        seed: of the hashes.

    Raises:
        IntegrityError: When two words have one hash.
    """
    offsets, data = text.text_buffers(texts)
    shift = np.repeat(offsets[:-1], np.diff(words.offsets))
    raw = data.tobytes()
    starts, ends = (shift + part for part in (words.starts, words.ends))
    places = zip(starts.tolist(), ends.tolist(), strict=True)
    hash_of = dict(zip((raw[a:b] for a, b in places), words.hashes.tolist(), strict=True))
    characters, spelled = unicode14.characters(), dict[int, bytes]()
    for word, word_hash in hash_of.items():
        folded = characters[[ord(character) for character in word.decode()]] & FOLDED
        letters = "".join(map(chr, folded.tolist())).encode()
        if spelled.setdefault(word_hash, letters) != letters:
            raise collision(seed)
    known = np.unique(words.hashes)
    parts = [spelled[word_hash] for word_hash in known.tolist()]
    bounds = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return Spelling(known, bounds, np.frombuffer(b"".join(parts), np.uint8))


def require_same_letters(
    spelling: Spelling, known: Uint32, place: tuple[Path, int], seed: int
) -> None:
    """Refuse a chunk in which a word of other letters has the hash of a word of the texts.

    Args:
        spelling: the words of the texts.
        known: the number of each word of the chunk's vocabulary, or 0, (entries,).
        place: the chunk.
        seed: of the hashes, for the message.

    Raises:
        IntegrityError: When it has one.
    """
    found = cells(place, ["lengths", "letters"])
    ends = np.concatenate([[0], np.cumsum(found["lengths"].view(np.uint32), dtype=np.int64)])
    own = spelling.ends, spelling.letters
    if not spelling_kernels.spelled_alike(known, ends, found["letters"], *own):
        raise collision(seed)
