import numpy as np
import pytest

from pipeline.text.sorting import order_of

DRAW = np.random.default_rng(5)
ANY = DRAW.integers(0, 2**64, 5000, dtype=np.uint64)
KEYS = {
    "none": ANY[:0],
    "one": ANY[:1],
    "few": ANY[:8],
    "at the first bucket": ANY[:17],
    "random": ANY,
    "all equal": np.full(5000, 7, np.uint64),
    "all largest": np.full(300, 2**64 - 1, np.uint64),
    "ascending": np.sort(ANY),
    "descending": np.sort(ANY)[::-1].copy(),
    "few different": ANY[:5].repeat(1000)[DRAW.permutation(5000)],
    "mostly one": np.where(DRAW.random(5000) < 0.9, ANY[0], ANY),
    "small numbers": DRAW.integers(0, 50, 5000).astype(np.uint64),
    "three of each": ANY[:1600].repeat(3)[DRAW.permutation(4800)],
    "two of each, few": ANY[:30].repeat(2)[DRAW.permutation(60)],
    "both ends": DRAW.choice(np.array([0, 1, 2**63, 2**64 - 1], np.uint64), 5000),
    "sixty-five of a kind": np.concatenate([np.repeat(ANY[:20], 65), ANY]),
}


@pytest.mark.parametrize("name", KEYS)
def test_the_order_is_that_of_a_stable_sort(name):
    """Whatever the keys, they come in ascending order and equal ones in that of their places."""
    keys = KEYS[name]
    np.testing.assert_array_equal(order_of(keys, 0), np.argsort(keys, kind="stable"))


@pytest.mark.parametrize("spread", [1, 8, 40, 63])
def test_bits_that_all_share_may_be_told(spread):
    """Keys of the same top bits are spread by those below, in the same order; also by fewer."""
    keys = (ANY >> np.uint64(spread)) | np.uint64(2**64 - 2 ** (64 - spread))
    assert len({key >> (64 - spread) for key in keys.tolist()}) == 1
    for told in (spread, spread - 1, 0):
        np.testing.assert_array_equal(order_of(keys, told), np.argsort(keys, kind="stable"))


def test_the_keys_stay_as_they_were():
    """Sorting makes an order and touches nothing."""
    keys = ANY.copy()
    order_of(keys, 0)
    np.testing.assert_array_equal(keys, ANY)
