"""Runs and shingles of given texts in a corpus, held against brute force."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config.sections import SketchConfig
from pipeline.matching.asked import Searched, asked
from pipeline.matching.search import (
    NOBODY,
    Best,
    alike,
    chunk_of,
    found_runs,
    held,
    nearest,
    spoken,
    stretches,
)
from pipeline.scan import words
from tests import reference
from tests.sketched import sketch
from tests.unit.matching.brute import covered, longest, runs, shingles

SKETCH = SketchConfig()
SIZE = 4
ROW = np.uint64(2**40 - 1)
WORD = st.sampled_from(["a", "B", "c", "é", "漢"])
TEXTS = st.lists(
    st.one_of(
        st.lists(WORD, max_size=16).map(" ".join),
        st.sampled_from(["a B c a B c a B c", "b A", "C", "a, b. c! é? 漢"]),
    ),
    min_size=1,
    max_size=6,
)


def by_brute_force(corpus, texts):
    """Return what each document holds of each text, the near pairs, and the nearest documents."""
    holding, near, best = {}, {}, {}
    for t, own in enumerate(texts):
        size, a = min(SIZE, len(own)), shingles(own)
        shares = []
        for d, document in enumerate(corpus):
            places = covered(own, [document], size)
            if places:
                there = [k for k, run in enumerate(runs(document, size)) if run in runs(own, size)]
                most = longest(own, document, size) if size == SIZE else size
                holding[d, t] = [len(places), most, there[0], there[-1] + size]
            shared, either = len(a & shingles(document)), len(a | shingles(document))
            if shared and (2 * shared >= either or 3 * shared >= 2 * len(a)):
                near[d, t] = [shared, either]
            shares.append((shared / max(1, either), shared))
        nearest_one, holder = (max(range(len(corpus)), key=lambda d: shares[d][k]) for k in (0, 1))
        if shares[holder][1]:
            best[t] = (shares[nearest_one][0], nearest_one, shares[holder][1], holder)
    return holding, near, best


def by_search(corpus, texts, folder):
    """Return the same, searched chunk by chunk."""
    prepared = asked(pa.array(texts, pa.large_string()), SKETCH, Searched(SIZE))
    holding, near, best = {}, {}, Best.none(len(texts))
    for place in sketch(Path(folder), corpus).places:
        chunk = chunk_of(prepared, place, SKETCH, positions=False)
        rows = (chunk.keys & ROW).tolist()
        for size, table in prepared.runs.items():
            said = spoken(chunk.words, size, SKETCH.seed)
            groups = found_runs(said, table, SKETCH.seed)
            met = stretches(said, groups)
            assert Counter(k for a, b in met for k in range(a, b)) == Counter(
                np.flatnonzero(groups >= 0).tolist()
            )
            for d, text, *what in held(said, groups, table, len(texts), 1).tolist():
                holding[rows[d], text] = what
        for d, text, *what in alike(prepared, chunk, SKETCH, (1, 2), (2, 3)).tolist():
            near[rows[d], text] = what
        best = best.or_better(nearest(prepared, chunk, SKETCH, np.full(len(texts), NOBODY)))
    nearer = {
        t: (
            best.shared[t] / best.either[t],
            best.near[t] & ROW,
            best.held[t],
            best.holder[t] & ROW,
        )
        for t in np.flatnonzero(best.shared).tolist()
    }
    return holding, near, nearer


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(TEXTS, TEXTS, st.integers(1, 30))
def test_what_is_found_is_what_brute_force_finds(corpus, texts, most):
    """Covered words, longest runs, near pairs and nearest documents, over any chunks."""
    with (
        TemporaryDirectory() as folder,
        mock.patch.object(words, "FULL", np.array([most, 30], np.int64)),
    ):
        found = by_search(corpus, texts, folder)
    own = [reference.words(one) for one in texts]
    assert found == by_brute_force([reference.words(one) for one in corpus], own)
