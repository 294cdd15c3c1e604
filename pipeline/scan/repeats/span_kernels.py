"""Compiled loops that join repeated windows into spans, and into runs of equal numbers."""

from __future__ import annotations

import numpy as np

from pipeline.text.segmentation_kernels import kernel


@kernel
def cut(
    document: np.ndarray,
    word: np.ndarray,
    hashes: np.ndarray,
    occurrences: np.ndarray,
    documents: np.ndarray,
    offsets: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    size: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the spans of a chunk, (spans, 7), and repeated words and largest count per document.

    A span is a maximal run of repeated windows. Its columns are those of the table `spans`, with
    the document as its number.

    Args:
        document: (windows,), number of the document of each repeated window, in text order.
        word: (windows,), its first word in the document.
        hashes: (windows,), its hash.
        occurrences: (windows,), times it occurs.
        documents: (windows,), documents that hold it.
        offsets: (documents + 1,), into the words.
        starts: (words,), first byte of each word.
        ends: (words,), the byte after its last.
        size: words of a window.
    """
    spans = np.empty((len(word), 7), np.int64)
    repeated = np.zeros(len(offsets) - 1, np.int64)
    largest = np.zeros(len(offsets) - 1, np.int64)
    covered = np.zeros(len(offsets) - 1, np.int64)
    m = 0
    i = 0
    while i < len(word):
        j = i
        best = i
        most_documents = np.int64(documents[i])
        while (
            j + 1 < len(word)
            and document[j + 1] == document[i]
            and word[j + 1] == word[j] + np.uint32(1)
        ):
            j += 1
            if occurrences[j] > occurrences[best]:
                best = j
            most_documents = max(most_documents, np.int64(documents[j]))
        d = np.int64(document[i])
        first, last = np.int64(word[i]), np.int64(word[j]) + size - 1
        spans[m, 0] = d
        spans[m, 1] = starts[offsets[d] + first]
        spans[m, 2] = ends[offsets[d] + last]
        spans[m, 3] = last - first + 1
        spans[m, 4] = occurrences[best]
        spans[m, 5] = most_documents
        spans[m, 6] = np.int64(hashes[best])
        m += 1
        repeated[d] += last + 1 - max(first, covered[d])
        covered[d] = last + 1
        largest[d] = max(largest[d], np.int64(occurrences[best]))
        i = j + 1
    return spans[:m].copy(), repeated, largest


@kernel
def runs(
    document: np.ndarray, word: np.ndarray, occurrences: np.ndarray, documents: np.ndarray
) -> np.ndarray:
    """Return the maximal runs of windows with the same numbers, (runs, 5).

    Their columns are those of the table `windows`, with the document as its number.

    Args:
        document: (windows,), number of the document of each repeated window, in text order.
        word: (windows,), its first word in the document.
        occurrences: (windows,), times it occurs.
        documents: (windows,), documents that hold it.
    """
    found = np.empty((len(word), 5), np.int64)
    m = -1
    for i in range(len(word)):
        if (
            i == 0
            or document[i] != document[i - 1]
            or word[i] != word[i - 1] + np.uint32(1)
            or occurrences[i] != occurrences[i - 1]
            or documents[i] != documents[i - 1]
        ):
            m += 1
            found[m, 0], found[m, 1], found[m, 2] = document[i], word[i], 0
            found[m, 3], found[m, 4] = occurrences[i], documents[i]
        found[m, 2] += 1
    return found[: m + 1].copy()
