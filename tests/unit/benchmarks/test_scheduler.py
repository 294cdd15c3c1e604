"""The simulation of a cluster, against cases that are computed by hand."""

import pytest

from benchmarks.scheduler import Load, efficiency, makespan, simulate


def test_tasks_go_to_the_slot_that_is_free_first() -> None:
    """Of 4, 3, 2, 2, 5 s on two cores the last begins after 5 s on the one that had 3 and 2."""
    (ran,) = simulate([Load("map", [4, 3, 2, 2, 5])], nodes=1, cores=2)
    assert (ran.seconds, ran.work, ran.longest, ran.even) == (10, 16, 5, 8)


def test_a_stage_waits_for_the_one_before() -> None:
    """Two stages of 3 and 1 s on two cores take 3 and 3 s, not 4: no task begins early."""
    ran = simulate([Load("one", [3, 1]), Load("two", [1, 3])], nodes=2, cores=1)
    assert [stage.seconds for stage in ran] == [3, 3]
    assert makespan(ran) == 6
    assert efficiency(ran, 2, 1) == pytest.approx(8 / 12)


def test_a_stage_that_is_one_unit_has_the_cores_of_one_node() -> None:
    """100 s, of which a fifth is serial, take 20 + 80 / 4 s on a node of four, however many."""
    load = Load("reduce", [100], whole=True, serial=0.2)
    for nodes in (1, 100):
        (ran,) = simulate([load], nodes, cores=4)
        assert ran.seconds == pytest.approx(40)
        assert ran.even == pytest.approx(100 / (4 * nodes))


def test_one_long_part_is_what_a_stage_waits_for() -> None:
    """99 parts of 1 s and one of 50 at the end, on 10 cores, take 59 s: 9 rounds, then it."""
    (ran,) = simulate([Load("parts", [1.0] * 99 + [50.0])], nodes=10, cores=1)
    assert ran.seconds == 59
    (first,) = simulate([Load("parts", [50.0] + [1.0] * 99)], nodes=10, cores=1)
    assert first.seconds == 50


def test_the_driver_hands_out_one_task_after_another() -> None:
    """Ten tasks of 1 s, 2 s each to hand out, end after 20 + 1 s; its own 5 s follow."""
    (ran,) = simulate([Load("map", [1.0] * 10, alone=5)], nodes=10, cores=1, dispatch=2)
    assert ran.seconds == 26
    assert ran.work == 15


def test_a_task_cannot_end_before_its_bytes_have_passed() -> None:
    """A node of 4 cores that needs 12 s for a stage's bytes: each of 4 equal tasks has a quarter of
    them and a quarter of the link, 12 s; as one unit with all of the link it takes 12 s too.
    """
    (ran,) = simulate([Load("map", [2.0] * 4, moved=12)], nodes=1, cores=4)
    assert ran.seconds == 12
    (ran,) = simulate([Load("map", [2.0] * 4, moved=12)], nodes=4, cores=1)
    assert ran.seconds == 3
    (whole,) = simulate([Load("one", [8.0], whole=True, serial=0, moved=12)], nodes=1, cores=4)
    assert whole.seconds == 12
