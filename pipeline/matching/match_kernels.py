"""Compiled loops that look for runs of words of some texts among the words of a corpus.

A run is looked up by its keyed hash, and its words are compared by theirs, which stand for one word
each (`pipeline.scan.vocabulary`, `pipeline.matching.spelling`): no result rests on the hash of a
run. Equal hashes of different runs are told, and stop the search.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.text.arrays import Flags, Int32, Int64, Uint64, Value
from pipeline.text.segmentation_kernels import inline, kernel

NONE, COLLISION = -1, -2


class RunTable(NamedTuple):
    """Runs of words of some texts in a hash table, by open addressing.

    Attributes:
        slots: a group + 1, or 0; a power of two of them.
        hashes: the hash of each run.
        begins: the first word of each run among the words of all texts.
        sizes: words of each run.
        texts: the text of each run.
        last: the last run of each group of equal runs.
        former: the run before of the same words, NONE before the first.
        words: hash of each word of all texts.
    """

    slots: Int64  # (slots,)
    hashes: Uint64  # (runs,)
    begins: Int64  # (runs,)
    sizes: Int64  # (runs,)
    texts: Int64  # (runs,)
    last: Int64  # (groups,)
    former: Int64  # (runs,)
    words: Uint64  # (words,)


class Spoken(NamedTuple):
    """The documents of a chunk, as words and as runs of them.

    Attributes:
        offsets: document d owns the words from offsets[d] to offsets[d + 1].
        words: hash of each word.
        bounds: document d owns the runs from bounds[d] to bounds[d + 1].
        hashes: hash of each run.
        size: words of a run; a shorter document may have one, all its words.
    """

    offsets: Int64  # (documents + 1,)
    words: Uint64  # (words,)
    bounds: Int64  # (documents + 1,)
    hashes: Uint64  # (runs,)
    size: int


@kernel
def fill(table: RunTable) -> Value:
    """Put the runs of the texts into the empty table, and return how many groups there are.

    `last` has room for a group per run. COLLISION when two different runs have the same hash.
    """
    mask, count = np.uint64(table.slots.size - 1), 0
    for run in range(table.hashes.size):
        table.former[run] = NONE
        slot, found = table.hashes[run] & mask, False
        while table.slots[slot] != 0 and not found:
            group = table.slots[slot] - 1
            known = table.last[group]
            if table.hashes[known] == table.hashes[run]:
                begin, size = table.begins[run], table.sizes[run]
                if not _are(table, known, table.words, begin, size):
                    return COLLISION
                table.former[run], table.last[group] = known, run
                found = True
            slot = (slot + np.uint64(1)) & mask
        if not found:
            count += 1
            table.slots[slot], table.last[count - 1] = count, run
    return count


@inline
def _are(table: RunTable, run: Value, words: Uint64, begin: Value, size: Value) -> Value:
    """Tell whether a run of the texts is the `size` words from `begin` on."""
    same = table.sizes[run] == size
    if same:
        for k in range(size):
            same = same and table.words[table.begins[run] + k] == words[begin + k]
    return same


@kernel
def _group_of(own: Value, table: RunTable, words: Uint64, begin: Value, size: Value) -> Value:
    """Return the group that has some words of a document; NONE, or COLLISION for other words."""
    mask = np.uint64(table.slots.size - 1)
    slot = own & mask
    while table.slots[slot] != 0:
        group = table.slots[slot] - 1
        run = table.last[group]
        if table.hashes[run] == own:
            return group if _are(table, run, words, begin, size) else COLLISION
        slot = (slot + np.uint64(1)) & mask
    return NONE


@kernel
def look_up(chunk: Spoken, table: RunTable, found: Int32) -> bool:
    """Find the group of each run of some documents, NONE for none; False on a collision.

    Args:
        chunk: the documents, of runs all of `size` words.
        table: the runs of the texts.
        found: the group of each run, (runs,); written.
    """
    for d in range(chunk.offsets.size - 1):
        ahead = chunk.offsets[d] - chunk.bounds[d]
        for run in range(chunk.bounds[d], chunk.bounds[d + 1]):
            found[run] = _group_of(chunk.hashes[run], table, chunk.words, run + ahead, chunk.size)
            if found[run] == COLLISION:
                return False
    return True


class Marks(NamedTuple):
    """What is known so far of texts that are held against runs of a corpus.

    Attributes:
        covered: whether each word of the texts lies in a run that occurs.
        longest: words of the longest run of each text that occurs.
        lengths: words of the run that ends with each window, in the stretch of its stamp.
        stamps: the step at which each window was met last.
    """

    covered: Flags  # (words,)
    longest: Int64  # (texts,)
    lengths: Int64  # (runs,)
    stamps: Int64  # (runs,)


@kernel
def extend(stretch: Int32, table: RunTable, marks: Marks, step: Value) -> Value:
    """Note what one stretch of consecutive windows of a document covers of the texts.

    Windows are runs of one size, and those of a text follow one another in the table.

    Args:
        stretch: the group of each window.
        table: the windows of the texts.
        marks: written.
        step: a number above that of every stretch before.

    Returns:
        A number for the next stretch.
    """
    for group in stretch:
        step += 1
        run = table.last[group]
        while (
            run >= 0
        ):  # from the last to the first: a window's former value is read before it goes
            size, text = table.sizes[run], table.texts[run]
            length = size
            if run > 0 and table.texts[run - 1] == text and marks.stamps[run - 1] == step - 1:
                length = marks.lengths[run - 1] + 1
            marks.lengths[run], marks.stamps[run] = length, step
            marks.longest[text] = max(marks.longest[text], length)
            first = size - 1 if length > size else 0
            for word in range(table.begins[run] + first, table.begins[run] + size):
                marks.covered[word] = True
            run = table.former[run]
    return step + 1


@kernel
def hold(chunk: Spoken, found: Int32, table: RunTable, texts: Value, out: Int64) -> Value:
    """List what each document of a chunk holds of each text, and return how many rows that takes.

    Args:
        chunk: the documents.
        found: the group of each of their runs, as `look_up` writes it.
        table: the runs of the texts, all of `chunk.size` words.
        texts: how many texts there are.
        out: document, text, words of the text covered, words of the longest run, first and past
            last word of the runs in the document, (rows, 6); written as far as it has room.
    """
    seen, words = np.zeros(texts, np.int64), np.zeros(table.words.size, np.int64)
    of_text, touched = np.zeros((texts, 4), np.int64), np.empty(texts, np.int64)
    lengths, stamps = np.zeros(table.hashes.size, np.int64), np.zeros(table.hashes.size, np.int64)
    rows, step = 0, 1
    for d in range(chunk.offsets.size - 1):
        count, first = 0, chunk.bounds[d]
        for at in range(first, chunk.bounds[d + 1]):
            step += 1
            run = np.int64(NONE) if found[at] < 0 else table.last[found[at]]
            while run >= 0:
                text, size = table.texts[run], table.sizes[run]
                length = size
                if run > 0 and table.texts[run - 1] == text and stamps[run - 1] == step - 1:
                    length = lengths[run - 1] + 1
                lengths[run], stamps[run] = length, step
                if seen[text] != d + 1:
                    seen[text], touched[count], count = d + 1, text, count + 1
                    of_text[text] = (0, 0, at - first, 0)
                of_text[text, 1] = max(of_text[text, 1], length)
                of_text[text, 3] = at - first + size
                ahead = size - 1 if length > size else 0
                for word in range(table.begins[run] + ahead, table.begins[run] + size):
                    if words[word] != d + 1:
                        words[word] = d + 1
                        of_text[text, 0] += 1
                run = table.former[run]
        step += 1
        for k in range(count):
            if rows < out.shape[0]:
                out[rows, 0], out[rows, 1] = d, touched[k]
                out[rows, 2:6] = of_text[touched[k]]
            rows += 1
    return rows


class Counter(NamedTuple):
    """Room to count the shingles that a document shares with each text.

    Attributes:
        seen: a run + 1 of the document that is gone through, or less than that of its first.
        shared: distinct shingles that it shares with each text; all 0 between two documents.
        touched: the texts with which it shares one.
    """

    seen: Int64  # (slots,), a power of two
    shared: Int64  # (texts,)
    touched: Int64  # (texts,)


@inline
def _credit(table: RunTable, group: Value, room: Counter, count: Value) -> Value:
    """Count a shingle for each text that has it; return how many texts share one by now."""
    shingle = np.int64(NONE) if group < 0 else table.last[group]
    while shingle >= 0:
        text = table.texts[shingle]
        if room.shared[text] == 0:
            room.touched[count] = text
            count += 1
        room.shared[text] += 1
        shingle = table.former[shingle]
    return count


@kernel
def _count(chunk: Spoken, d: Value, table: RunTable, room: Counter) -> tuple[Value, Value]:
    """Count the shingles that one document shares with each text.

    Args:
        chunk: the documents, of which runs are shingles.
        d: which document.
        table: the distinct shingles of each text.
        room: `shared` and `touched` are written.

    Returns:
        How many texts share one, and how many distinct shingles the document has; COLLISION for
        both when two different shingles have the same hash.
    """
    first, stop = chunk.bounds[d], chunk.bounds[d + 1]
    ahead = chunk.offsets[d] - first
    size = min(chunk.size, chunk.offsets[d + 1] - chunk.offsets[d])
    width = 2
    while width < 2 * (stop - first):
        width *= 2
    mask, count, distinct = np.uint64(width - 1), 0, 0
    for run in range(first, stop):
        slot, known = chunk.hashes[run] & mask, False
        while room.seen[slot] > first and not known:
            other = room.seen[slot] - 1
            if chunk.hashes[other] == chunk.hashes[run]:
                for k in range(size):
                    if chunk.words[other + ahead + k] != chunk.words[run + ahead + k]:
                        return COLLISION, COLLISION
                known = True
            slot = (slot + np.uint64(1)) & mask
        if known:
            continue
        room.seen[slot] = run + 1
        distinct += 1
        group = _group_of(chunk.hashes[run], table, chunk.words, run + ahead, size)
        if group == COLLISION:
            return COLLISION, COLLISION
        count = _credit(table, group, room, count)
    return count, distinct


@kernel
def nearest(
    chunk: Spoken, table: RunTable, room: Counter, keys: Uint64, own: Uint64, best: Int64
) -> bool:
    """Find the document that is nearest to each text by Jaccard, and the one that holds most of it.

    Of equal documents the first counts. False when two shingles have the same hash.

    Args:
        chunk: the documents.
        table: the distinct shingles of each text.
        room: to count in.
        keys: row_key of each document.
        own: row_key of the document that each text is, which is left out, (texts,).
        best: shared, in either, document; shared, document, (texts, 5); written; shared is 0 where
            no document shares a shingle.
    """
    for d in range(chunk.offsets.size - 1):
        count, distinct = _count(chunk, d, table, room)
        if count == COLLISION:
            return False
        for k in range(count):
            text = room.touched[k]
            shared, either = room.shared[text], best[text, 1]
            room.shared[text] = 0
            if keys[d] == own[text]:
                continue
            union = _size_of(table, text) + distinct - shared
            if best[text, 0] == 0 or shared * either > best[text, 0] * union:
                best[text, 0], best[text, 1], best[text, 2] = shared, union, d
            if shared > best[text, 3]:
                best[text, 3], best[text, 4] = shared, d
    return True


@inline
def _size_of(table: RunTable, text: Value) -> Value:
    """Return how many distinct shingles a text has; they follow one another in the table."""
    return np.searchsorted(table.texts, text + 1) - np.searchsorted(table.texts, text)


@kernel
def alike(chunk: Spoken, table: RunTable, room: Counter, least: Int64, out: Int64) -> Value:
    """List the pairs of a document and a text that are near, and return how many rows that takes.

    Args:
        chunk: the documents.
        table: the distinct shingles of each text.
        room: to count in.
        least: numerator and denominator of the Jaccard, then of the share of the text's shingles,
            at or above one of which a pair is listed, (4,).
        out: document, text, shared, in either, (rows, 4); written as far as it has room.

    Returns:
        Rows; COLLISION when two different shingles have the same hash.
    """
    rows = 0
    for d in range(chunk.offsets.size - 1):
        count, distinct = _count(chunk, d, table, room)
        if count == COLLISION:
            return COLLISION
        for k in range(count):
            text = room.touched[k]
            shared, size = room.shared[text], _size_of(table, text)
            room.shared[text] = 0
            union = size + distinct - shared
            near = shared * least[1] >= least[0] * union
            if near or shared * least[3] >= least[2] * size:
                if rows < out.shape[0]:
                    out[rows] = (d, text, shared, union)
                rows += 1
    return rows
