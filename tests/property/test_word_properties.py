from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.scan import signatures, words
from pipeline.scan.signatures import short_hashes, signature_matrix
from pipeline.text import minhash
from pipeline.text import segmentation as text
from pipeline.text.sorting import order_of
from tests import reference
from tests.property.test_text_properties import DOCUMENTS, LARGE, LONG
from tests.sketched import hold, sketch

AT_LEISURE = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
APART = st.builds(
    lambda parts: "".join(" " * gap + word for gap, word in parts),
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 2, 253, 254, 255, 256, 257, 600]),
            st.sampled_from(["a", "Ab", "漢", "\u212a", "k", "Ⱥ", "ⱥ", "w" * 300, "é" * 9]),
        ),
        max_size=30,
    ),
)
TEXTS = st.one_of(DOCUMENTS, st.lists(st.one_of(LONG, APART), max_size=6))


@AT_LEISURE
@given(TEXTS, st.integers(1, 40), st.integers(1, 12))
def test_words_come_back_as_they_were(documents, most, entries):
    """Any texts, over any chunks, have the hashes and places in the table that they have alone."""
    batch = text.words(pa.array(documents, LARGE), 1)
    with (
        TemporaryDirectory() as folder,
        mock.patch.object(words, "FULL", np.array([most, entries], np.int64)),
    ):
        done = sketch(Path(folder), documents)
        found = done.documents()
        counted = hold(done.places, Path(folder)) if documents else 0
    own = [
        tuple(column[low:high].tolist() for column in (batch.hashes, batch.starts, batch.ends))
        for low, high in pairwise(batch.offsets)
    ]
    assert [*found.values()] == own
    assert counted == len({word for each in documents for word in reference.words(each)})


@AT_LEISURE
@given(
    TEXTS,
    st.lists(st.integers(0, 3), max_size=8),
    st.sampled_from([5, 6, 17, 200]),
    st.integers(1, 60),
)
def test_batches_and_pieces_change_nothing(documents, sizes, piece, most):
    """However texts are batched and cut into pieces, both tables have the same bytes."""
    full = mock.patch.object(words, "FULL", np.array([most, 10**6], np.int64))
    with TemporaryDirectory() as one, TemporaryDirectory() as other, full:
        whole = sketch(Path(one), documents)
        with mock.patch.object(signatures, "PIECE", piece):
            cut = sketch(Path(other), documents, sizes=sizes)
        assert cut.signatures.equals(whole.signatures)
        assert cut.path.read_bytes() == whole.path.read_bytes()
    batch = text.words(pa.array(documents, LARGE), 1)
    offsets, hashes = text.shingles(batch, 5, 1)
    expected = minhash.signatures(offsets, hashes, 126, 1)
    column = pa.concat_arrays(
        cut.signatures["signature"].chunks or [pa.array([], pa.large_binary())]
    )
    rows, values = signature_matrix(column, 126)
    np.testing.assert_array_equal(values, expected[rows])
    few, alone = short_hashes(column)
    assert alone.tolist() == hashes[offsets[few]].tolist()
    counts = np.diff(batch.offsets)
    assert rows.tolist() == np.flatnonzero(counts >= 5).tolist()
    assert few.tolist() == np.flatnonzero((counts > 0) & (counts < 5)).tolist()


KEYS = st.one_of(
    st.lists(st.integers(0, 2**64 - 1), max_size=400),
    st.lists(st.sampled_from([0, 1, 2**32, 2**63, 2**64 - 1]), max_size=400),
    st.builds(
        lambda key, count, others: [key] * count + others,
        st.integers(0, 2**64 - 1),
        st.integers(0, 300),
        st.lists(st.integers(0, 2**64 - 1), max_size=100),
    ),
)


@settings(deadline=None)
@given(KEYS, st.randoms(use_true_random=False), st.integers(0, 20))
def test_the_order_of_hashes_is_that_of_a_stable_sort(keys, draw, spread):
    """Any keys, however skewed, are sorted as NumPy sorts them, ties in order of place."""
    draw.shuffle(keys)
    values = np.array(keys, np.uint64)
    np.testing.assert_array_equal(order_of(values, 0), np.argsort(values, kind="stable"))
    values >>= np.uint64(spread)
    np.testing.assert_array_equal(order_of(values, spread), np.argsort(values, kind="stable"))
