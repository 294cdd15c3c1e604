from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipeline.engine.spill import spilling


def arrays(number):
    """Return arrays of many kinds and lengths, empty ones and views among them."""
    draw = np.random.default_rng(number)
    wide = draw.integers(0, 2**63, 3000)
    return [
        wide,
        wide[::7],
        wide[:0],
        draw.integers(0, 256, 1001).astype(np.uint8),
        draw.random(17).astype(np.float32),
        np.zeros(0, np.uint32),
        draw.integers(0, 2**32, 5, dtype=np.uint32),
        np.arange(4, dtype=np.uint64)[2:],
    ]


@pytest.mark.parametrize("memory", [0, 1, 10_000, 2**40])
def test_what_was_put_aside_comes_back(tmp_path, memory):
    """Values, kind and length are the same whether all, some or none of it is held."""
    given = [array for number in range(5) for array in arrays(number)]
    with spilling(tmp_path, memory) as spill:
        refs = [spill.put(array) for array in given]
        held = sum(ref.held is not None and ref.size > 0 for ref in refs)
        full = sum(len(array) > 0 for array in given)
        assert {0: held == 0, 1: held == 0, 10_000: 0 < held < full, 2**40: held == full}[memory]
        for ref, array in [*zip(refs, given, strict=True)][::-1]:
            found = spill.get(ref)
            assert (found.dtype, ref.size) == (array.dtype, array.size)
            np.testing.assert_array_equal(found, array)
            np.testing.assert_array_equal(spill.get(ref), array)


@pytest.mark.parametrize("memory", [0, 2**40])
def test_a_part_comes_back_alone(tmp_path, memory):
    """Some elements of an array are asked for by their places."""
    values = np.arange(1000, dtype=np.uint32) ** 2
    with spilling(tmp_path, memory) as spill:
        spill.put(np.arange(3, dtype=np.uint8))
        ref = spill.put(values)
        spill.put(values[::-1])
        for low, high in ((0, 1000), (0, 0), (999, 1000), (250, 251), (17, 800)):
            np.testing.assert_array_equal(spill.get(ref, low, high), values[low:high])


@pytest.mark.parametrize("memory", [0, 60_000, 2**40])
def test_threads_share_it(tmp_path, memory):
    """Eight threads that put, get and drop at once get their own arrays back."""

    def work(number):
        mine = arrays(number)
        refs = [spill.put(array) for array in mine]
        same = [
            np.array_equal(spill.get(ref), array) for ref, array in zip(refs, mine, strict=True)
        ]
        for ref in refs[::2]:
            spill.drop(ref)
        same += [
            np.array_equal(spill.get(ref), array)
            for ref, array in zip(refs[1::2], mine[1::2], strict=True)
        ]
        return all(same)

    with spilling(tmp_path, memory) as spill, ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(100)))


def test_room_that_is_given_back_is_used_again(tmp_path):
    """An array dropped makes room for one of its size, no more; one in the file makes none."""
    values = np.zeros(100, np.uint8)
    with spilling(tmp_path, 100) as spill:
        first, second = spill.put(values), spill.put(values)
        assert (first.held is None, second.held is None) == (False, True)
        spill.drop(second)
        assert spill.put(values).held is None
        spill.drop(first)
        assert spill.put(values).held is not None
        assert spill.put(values).held is None


def test_nothing_is_left_behind(tmp_path):
    """The file goes with the block, also when the block fails."""

    def fail():
        with spilling(tmp_path, 0) as spill:
            spill.put(np.zeros(10))
            assert len(list(tmp_path.glob(".spill-*"))) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []
