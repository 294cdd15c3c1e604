from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.text import minhash
from pipeline.text import segmentation as text
from tests import reference

LARGE = pa.large_string()
AT_LEISURE = settings(deadline=None)  # the first call of a kernel compiles it
SCRIPTS = [
    st.sampled_from("abcXYZ019_ .,-\n\t'"),
    st.sampled_from(" -_aA0\u00a0é\u0130\u0131ẞß\u03a3\u03c2\u03c3ǅﬁK\u0301\u200d\u203f²Ⅷⓐ"),
    st.sampled_from("漢字々〇かなカナㄅ中文、。ｶﾅ\U00020000\U0001b000"),
    st.sampled_from("สวัสดีລາວខ្មែរမြန်မာ한글"),
    st.sampled_from("Ⱥⱥ𝒜𐐀𐐨😀\U0010ffff\ufffe\u0378\ud7ff\ue000\x00\x7f"),
    st.characters(exclude_categories=["Cs"]),
]
DOCUMENTS = st.lists(st.text(st.one_of(SCRIPTS), max_size=300), max_size=6)
LONG = st.builds(
    lambda parts: "".join(s * n for s, n in parts),
    st.lists(
        st.tuples(st.sampled_from(["word", "Ab ", "é", "漢", " ", "x"]), st.integers(0, 90)),
        max_size=12,
    ),
)


def per_document(offsets, values):
    """Return the values of each document as a list of lists."""
    values = values.tolist()
    return [values[a:b] for a, b in pairwise(offsets)]


@AT_LEISURE
@given(st.one_of(DOCUMENTS, st.lists(LONG, max_size=4)))
def test_words_are_the_references_words(documents):
    """On any text the kernel finds the words of the definition, byte for byte."""
    batch = text.words(pa.array(documents, LARGE), 1)
    spans = [
        list(zip(*pair, strict=True))
        for pair in zip(
            per_document(batch.offsets, batch.starts),
            per_document(batch.offsets, batch.ends),
            strict=True,
        )
    ]
    assert spans == [reference.byte_spans(document) for document in documents]
    places = [word for document in documents for word in reference.words(document)]
    named = {*zip(places, batch.hashes.tolist(), strict=True)}
    assert len(named) == len(set(places)) == len(set(batch.hashes.tolist()))


@AT_LEISURE
@given(DOCUMENTS, st.integers(1, 7))
def test_hashes_are_equal_exactly_where_the_words_are(documents, size):
    """Hashes of words, shingles and windows name the same classes as the words themselves."""
    batch = text.words(pa.array(documents, LARGE), 1)
    pairs = [
        ((batch.offsets, batch.hashes), [reference.words(d) for d in documents]),
        (text.shingles(batch, size, 1), [reference.shingles(d, size) for d in documents]),
        (text.runs(batch, size, 1), [reference.windows(d, size) for d in documents]),
    ]
    for (offsets, hashes), expected in pairs:
        flat = [item for items in expected for item in items]
        assert np.diff(offsets).tolist() == [len(items) for items in expected]
        assert (
            len(set(flat))
            == len(set(hashes.tolist()))
            == len(set(zip(flat, hashes.tolist(), strict=True)))
        )


@AT_LEISURE
@given(DOCUMENTS, st.integers(0, 6), st.integers(0, 2**63 - 1))
def test_batches_and_slices_change_nothing(documents, cut, seed):
    """A document has the same words, shingles and signature in any batch and any slice."""
    texts = pa.array(["before", *documents, "after"], LARGE)[1:-1]
    whole = text.words(texts, seed)
    parts = [text.words(part, seed) for part in (texts[:cut], texts[cut:])]
    for name in ("hashes", "starts", "ends"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(getattr(whole, name), joined)
    assert np.diff(whole.offsets).tolist() == [n for part in parts for n in np.diff(part.offsets)]
    signed = [
        minhash.signatures(*text.shingles(part, 5, seed), 8, seed) for part in (whole, *parts)
    ]
    np.testing.assert_array_equal(signed[0], np.concatenate(signed[1:]))


@AT_LEISURE
@given(
    st.lists(
        st.one_of(st.none(), st.binary(max_size=40), st.text(max_size=20).map(str.encode)),
        max_size=8,
    )
)
def test_valid_utf8_is_pythons_strict_decoding(rows):
    """A row is valid exactly where Python decodes it."""
    assert text.valid_utf8(pa.array(rows, pa.binary())).tolist() == [decodes(row) for row in rows]


@given(
    st.lists(
        st.sampled_from(
            [
                0x00,
                0x7F,
                0x80,
                0x8F,
                0x90,
                0x9F,
                0xA0,
                0xBF,
                0xC0,
                0xC1,
                0xC2,
                0xDF,
                0xE0,
                0xE1,
                0xED,
                0xEE,
                0xEF,
                0xF0,
                0xF1,
                0xF4,
                0xF5,
                0xFF,
            ]
        ),
        max_size=6,
    )
)
@settings(max_examples=300, deadline=None)
def test_valid_utf8_at_the_edges_of_each_byte(values):
    """Bytes at the edges of the well-formed ranges, in any order, next to a bad and a good row."""
    rows = [b"\xff", bytes(values), b"ok"]
    assert text.valid_utf8(pa.array(rows, pa.large_binary())).tolist() == [
        False,
        decodes(rows[1]),
        True,
    ]


def decodes(row):
    """Tell whether Python decodes the bytes."""
    try:
        (row if row is not None else b"\xff").decode()
    except UnicodeDecodeError:
        return False
    return True
