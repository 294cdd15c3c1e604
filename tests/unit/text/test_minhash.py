import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from pipeline.text import minhash
from pipeline.text import segmentation as text
from tests import reference

LARGE = pa.large_string()
PINNED_VALUES = ["0x60844f7f", "0x619800fb", "0x401a208", "0x7100dd61"]
PINNED_KEYS = ["0xb142e708bbe4524a", "0x8850a58ce8534940"]


def signed(documents, count=126, seed=1):
    """Return the signatures of texts, over shingles of 5 words."""
    words = text.words(pa.array(documents, LARGE), seed)
    return minhash.signatures(*text.shingles(words, 5, seed), count, seed)


def planted(pairs, length, shared, seed):
    """Return pairs of texts of random words that share their first `shared` words."""
    draw = random.Random(seed)  # noqa: S311
    documents = []
    for _ in range(pairs):
        head = [f"w{draw.getrandbits(40)}" for _ in range(shared)]
        for _ in range(2):
            tail = [f"w{draw.getrandbits(40)}" for _ in range(length - shared)]
            documents.append(" ".join(head + tail))
    return documents


def test_permutations_are_splitmix64():
    """The first values from seed 0 are those of the published generator, whatever the count."""
    multipliers, addends = minhash.permutations(2, 0)
    assert [hex(a) for a in multipliers] == ["0xe220a839", "0x6e789e6b"]
    assert [hex(b) for b in addends] == ["0x7b1dcdaf", "0xa1b965f4"]
    assert minhash.permutations(300, 0)[0][:2].tolist() == multipliers.tolist()
    assert set((minhash.permutations(300, 9)[0] % 2).tolist()) == {1}


@pytest.mark.parametrize("count", [1, 63, 64, 65, 126])
def test_signatures_are_minimums_of_the_permuted_values(count):
    """Each value is the least a*x + b mod 2^32 over the high halves of the hashes."""
    draw = np.random.default_rng(3)
    offsets = np.array([0, 0, 1, 3, 6, 40])
    hashes = draw.integers(0, 2**64, 40, dtype=np.uint64)
    multipliers, addends = minhash.permutations(count, 5)
    values = ((hashes >> 32)[:, None] * multipliers.astype(np.uint64) + addends) % 2**32
    expected = [values[a:b].min(axis=0, initial=2**32 - 1) for a, b in pairwise(offsets)]
    np.testing.assert_array_equal(minhash.signatures(offsets, hashes, count, 5), expected)


def test_a_document_without_shingles_has_the_largest_values():
    """Empty documents are recognizable: every value is 0xFFFFFFFF."""
    assert set(signed(["", "..."]).ravel().tolist()) == {0xFFFFFFFF}


def test_repeats_and_order_do_not_matter():
    """A signature is that of the set of shingles."""
    offsets = np.array([0, 3, 8])
    hashes = np.array(
        [7 << 32, 9 << 32, 4 << 40, 4 << 40, 9 << 32, 7 << 32, 7 << 32, 9 << 32], np.uint64
    )
    first, second = minhash.signatures(offsets, hashes, 32, 1)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("length", "shared"), [(8, 6), (30, 20), (200, 120), (200, 180), (3000, 2000)]
)
def test_the_estimate_is_not_biased(length, shared):
    """Over planted pairs the mean estimate is within three standard errors of the exact Jaccard."""
    pairs = 4000 if length < 100 else 400 if length < 1000 else 60
    documents = planted(pairs, length, shared, seed=length + shared)
    values = signed(documents)
    estimates = (values[::2] == values[1::2]).mean(axis=1)
    common, union = reference.jaccard(*documents[:2])
    error = estimates.std(ddof=1) / pairs**0.5
    assert (common, union) == (shared - 4, 2 * (length - 4) - (shared - 4))
    assert abs(estimates.mean() - common / union) < 3 * error
    binomial = (common / union * (1 - common / union) / 126) ** 0.5
    assert estimates.std() < 1.25 * binomial


def test_band_keys_are_equal_where_bands_are():
    """Two documents share a key of a band exactly where they agree in all its values."""
    values = signed(planted(50, 60, 50, seed=1))
    keys = minhash.band_keys(values, 42, 3)
    assert (keys.shape, keys.dtype) == ((100, 42), np.uint64)
    bands = values.reshape(100, 42, 3)
    agree = (bands[::2] == bands[1::2]).all(axis=2)
    np.testing.assert_array_equal(keys[::2] == keys[1::2], agree)
    assert 0 < agree.sum() < agree.size
    distinct = {(b, *values) for row in bands.tolist() for b, values in enumerate(row)}
    assert len(np.unique(keys)) == len(distinct)


def test_the_bands_number_is_in_its_key():
    """Equal values in different bands give different keys, and the order of values counts."""
    same = np.full((1, 12), 5, np.uint32)
    assert len(np.unique(minhash.band_keys(same, 4, 3))) == 4
    turned = np.array([[1, 2, 3], [3, 2, 1]], np.uint32)
    assert len(np.unique(minhash.band_keys(turned, 1, 3))) == 2


def test_s_curve():
    """The chance to share a band: half of the pairs by two values, nearly all by 42 bands of 3."""
    assert minhash.s_curve(0.5, 1, 1) == 0.5
    assert minhash.s_curve(0.0, 42, 3) == 0.0
    assert minhash.s_curve(1.0, 42, 3) == 1.0
    assert minhash.s_curve(0.5, 42, 3) == pytest.approx(0.99633, abs=1e-5)
    assert minhash.s_curve(np.array([0.5, 1.0]), 2, 2).tolist() == [0.4375, 1.0]


def test_the_s_curve_is_what_happens():
    """Of planted pairs, the share with a common band is what the curve says."""
    documents = planted(2000, 54, 34, seed=8)
    keys = minhash.band_keys(signed(documents, count=30), 10, 3)
    share = (keys[::2] == keys[1::2]).any(axis=1).mean()
    assert minhash.s_curve(30 / 70, 10, 3) == pytest.approx(0.5595, abs=1e-4)
    assert share == pytest.approx(0.5595, abs=0.04)


def test_signatures_are_pinned():
    """The values are part of the run folder's format."""
    values = signed(["rote learning is learning by repetition"], count=4)
    assert [hex(v) for v in values[0]] == PINNED_VALUES
    assert [hex(k) for k in minhash.band_keys(values, 2, 2)[0]] == PINNED_KEYS
