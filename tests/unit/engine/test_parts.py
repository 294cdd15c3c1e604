import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipeline.engine.parts import elsewhere, in_order, parting
from tests.other_process import OtherProcess


class Squares:
    """Puts the squares of numbers aside, and adds what was put aside up."""

    def __init__(self, spill):
        self.spill = spill

    def put(self, number):
        """Put the squares below a number aside."""
        return self.spill.put(np.arange(number) ** 2)

    def total(self, refs):
        """Return the sum of arrays."""
        return int(sum(self.spill.get(ref).sum() for ref in refs))


@pytest.mark.parametrize("memory", [0, 2**20])
@pytest.mark.parametrize("where", ["threads", "elsewhere"])
@pytest.mark.parametrize("how", ["in_order", "one_by_one"])
def test_what_parts_put_aside_others_read(tmp_path, memory, where, how):
    """On threads and elsewhere, in memory or in files, the next map reads what the last made."""
    other = OtherProcess()
    with (
        elsewhere(other if where == "elsewhere" else None),
        parting(tmp_path, memory, 2) as parts,
    ):
        task = Squares(parts.spill)
        own = parts.spill.put(np.arange(3))
        run = getattr(parts, how)
        refs = [*run(task.put, range(1, 51)), own]
        assert all((ref.held is None) == (where == "elsewhere" or not memory) for ref in refs)
        assert parts.spill.get(own).tolist() == [0, 1, 2]
        more = parts.spill.put(np.arange(4))
        assert parts.spill.get(more).tolist() == [0, 1, 2, 3]
        found = [*run(task.total, [refs[:25], refs[25:], [own, refs[49]]])]
        assert (parts.sites, parts.cores) == ((1, 2) if where == "threads" else (3, 1))
    squares = [sum(n * n for n in range(number)) for number in range(1, 51)]
    assert found == [sum(squares[:25]), sum(squares[25:]) + 3, 3 + squares[49]]
    assert other.ran == (53 if where == "elsewhere" else 0)
    assert list(tmp_path.iterdir()) == []


def test_parts_come_in_order():
    """Whatever task ends first, results come in the order of the works, few ahead of them."""
    places = [(None, number) for number in range(30)]
    running, most = [], []

    def task(place):
        running.append(place)
        most.append(len(running))
        time.sleep(0.002 * (place[1] % 3))
        running.remove(place)
        return place[1]

    with ThreadPoolExecutor(3) as threads:
        assert list(in_order(threads, 3, task, places)) == list(range(30))
    assert max(most) > 1
