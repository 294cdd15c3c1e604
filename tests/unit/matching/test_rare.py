"""Pairs that are proposed by rare shingles are all pairs that reach a threshold."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.sections import SketchConfig
from pipeline.matching.rare import Thresholds, near_pairs, prepared
from pipeline.scan.shingle_sets import at_least
from pipeline.text import segmentation as text
from tests import reference
from tests.unit.matching.brute import shingles

SKETCH = SketchConfig()
BLOCKS = st.sampled_from(["a b c d e f g", "h i j k l m", "b c d e", "n", "o p q r s t u v"])
TEXTS = st.lists(st.lists(BLOCKS, max_size=5).map(" ".join), min_size=1, max_size=6)
SHARES = st.sampled_from([0.5, 0.6, 0.8, 0.9, 1.0])


@settings(deadline=None, max_examples=40)
@given(TEXTS, TEXTS, SHARES, st.one_of(st.just(0.0), SHARES))
def test_no_pair_is_missed_and_none_is_made_up(ours, theirs, jaccard, containment):
    """All pairs by brute force, with the shingles in both and in all."""
    own, other = (
        text.words(pa.array(texts, pa.large_string()), SKETCH.seed) for texts in (ours, theirs)
    )
    pairs = near_pairs(prepared(own, SKETCH, Thresholds(jaccard, containment)), other, SKETCH)
    columns = (pairs.texts, pairs.documents, pairs.near, pairs.shared, pairs.total)
    expected = []
    (top, bottom), (most, whole) = at_least(jaccard), at_least(containment)
    for t, one in enumerate(ours):
        a = shingles(reference.words(one))
        for d, document in enumerate(theirs):
            b = shingles(reference.words(document))
            shared, either = len(a & b), len(a | b)
            if shared and shared * bottom >= top * either:
                expected.append((t, d, True, shared, either))
            elif shared and most and shared * whole >= most * len(a):
                expected.append((t, d, False, shared, len(a)))
    found = zip(*(column.tolist() for column in columns), strict=True)
    assert sorted(found) == sorted(expected)
