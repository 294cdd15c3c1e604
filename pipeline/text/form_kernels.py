"""The compiled loops behind `pipeline.text.forms`: the places that a normal form could change."""

from __future__ import annotations

from pipeline.text.arrays import Int64, Uint8, Value
from pipeline.text.segmentation_kernels import decode, kernel


@kernel
def find_places(data: Uint8, offsets: Int64, wanted: Uint8, places: Int64) -> Value:
    """Write row, first byte and past the last byte of each run of wanted characters; count them.

    A run begins with the character before it, which its first one may join. What has no room in
    `places` is only counted.

    Args:
        data: (bytes,), of the texts, valid UTF-8.
        offsets: (texts + 1,), into the bytes.
        wanted: (code points,), not 0 for a character that is wanted; none of ASCII is.
        places: (runs, 3), filled; bytes are counted from the beginning of the text.
    """
    n = 0
    for row in range(offsets.size - 1):
        begin, end = offsets[row], offsets[row + 1]
        i = before = begin
        while i < end:
            if data[i] < 0x80:
                before = i
                i += 1
                continue
            character, width = decode(data, i)
            if wanted[character] == 0:
                before = i
                i += width
                continue
            first = before
            while i < end and data[i] >= 0x80:
                character, width = decode(data, i)
                if wanted[character] == 0:
                    break
                i += width
            if n < places.shape[0]:
                places[n, 0], places[n, 1], places[n, 2] = row, first - begin, i - begin
            n += 1
            before = i
    return n
