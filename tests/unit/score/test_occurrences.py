"""Occurrences of runs of words, against a search word by word."""

import numpy as np
import pytest

from pipeline.score.sequences.occurrence_kernels import count_runs, index_runs


def brute(runs, documents, groups):
    """Return [run, group] by comparing at every word of every document."""
    counts = np.zeros((len(runs), max(groups) + 1), np.int64)
    for number, run in enumerate(runs):
        for document, group in zip(documents, groups, strict=True):
            for start in range(len(document) - len(run) + 1):
                counts[number, group] += document[start : start + len(run)] == run
    return counts


def counted(runs, batches):
    """Return what the kernel counts over batches of (documents, groups)."""
    begins = np.cumsum([0, *map(len, runs)], dtype=np.int64)
    table = index_runs(np.concatenate([np.array(run, np.uint64) for run in runs]), begins)
    counts = np.zeros((len(runs), 3), np.int64)
    for documents, groups in batches:
        offsets = np.cumsum([0, *map(len, documents)], dtype=np.int64)
        words = np.array([word for document in documents for word in document], np.uint64)
        count_runs(table, offsets, words, np.array(groups, np.int64), counts)
    return counts


@pytest.fixture(scope="module")
def texts():
    """Give documents of few different words, and runs of 1 to 40 words out of them."""
    random = np.random.default_rng(7)
    hashes = random.integers(0, 2**64, 12, dtype=np.uint64).tolist()
    documents = [
        [hashes[word] for word in random.zipf(1.5, length) % 12]
        for length in random.integers(0, 120, 60)
    ]
    runs = {}
    for _ in range(250):
        document = documents[random.integers(60)]
        if document:
            start = int(random.integers(len(document)))
            run = document[start : start + int(random.integers(1, 41))]
            runs[tuple(run)] = run
    return list(runs.values()), documents, (np.arange(60) % 3).tolist()


def test_counts_are_those_of_a_search_word_by_word(texts):
    """Runs of every length, overlapping ones too, are counted exactly and by group."""
    runs, documents, groups = texts
    assert {len(run) for run in runs} >= {1, 2, 3, 4, 7, 8, 9}
    assert counted(runs, [(documents, groups)]).tolist() == brute(runs, documents, groups).tolist()


def test_batches_of_documents_change_nothing(texts):
    """One document at a time, in reverse, gives the same counts."""
    runs, documents, groups = texts
    single = [([d], [g]) for d, g in zip(documents, groups, strict=True)]
    assert counted(runs, single[::-1]).tolist() == counted(runs, [(documents, groups)]).tolist()


def test_a_run_does_not_cross_documents():
    """A run that would begin in one document and end in the next is not counted."""
    run = list(range(1, 11))
    assert counted([run], [([run[:5], run[5:], run], [0, 0, 1])]).tolist() == [[0, 1, 0]]


def test_overlapping_occurrences_all_count():
    """Three equal words hold two runs of two."""
    assert counted([[5, 5]], [([[5, 5, 5]], [2])]).tolist() == [[0, 0, 2]]
