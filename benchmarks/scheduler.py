"""A cluster that runs the stages of a run one after another: how long it takes, what stragglers cost.

No machine is asked: task times are given. A stage ends before the next one begins (the session runs
them so), its tasks go in their order to whichever slot is free first (as Ray hands out what waits),
and the driver hands out and records one task after another. Nothing is drawn at random here: the
same tasks give the same times.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """A stage as the scheduler sees it.

    Attributes:
        name: of the stage.
        seconds: of each task on one core.
        whole: cores that a task takes: 1, or all of a node for a stage that is one unit.
        serial: share of a task that one core of these does alone (Amdahl).
        alone: seconds of the driver before the stage ends, with nothing else at work.
        moved: seconds in which one node could read and write all that the stage does. A task cannot
            end before its share has passed by its share of the node's cores.
    """

    name: str
    seconds: Sequence[float]
    whole: bool = False
    serial: float = 1.0
    alone: float = 0.0
    moved: float = 0.0


@dataclass(frozen=True)
class Ran:
    """What became of a stage.

    Attributes:
        name: of the stage.
        seconds: from its begin to its end.
        work: seconds of all its tasks on one core, and of the driver.
        longest: of its longest task, as it ran.
        even: seconds that it would take if its work were spread evenly over all slots.
    """

    name: str
    seconds: float
    work: float
    longest: float
    even: float


def simulate(loads: Sequence[Load], nodes: int, cores: int, dispatch: float = 0.0) -> list[Ran]:
    """Return what becomes of each stage on a cluster.

    Args:
        loads: the stages in their order.
        nodes: machines.
        cores: of each.
        dispatch: seconds of the driver for each task, one after another.
    """
    found = []
    for load in loads:
        slots = nodes if load.whole else nodes * cores
        speed = 1 / (load.serial + (1 - load.serial) / cores) if load.whole else 1.0
        moving = load.moved * (1 if load.whole else cores) / max(sum(load.seconds), 1e-9)
        times = [max(seconds / speed, moving * seconds) for seconds in load.seconds]
        ended = _last_end(times, slots, dispatch)
        work = sum(load.seconds) + load.alone
        found.append(
            Ran(
                load.name,
                ended + load.alone,
                work,
                max(times, default=0.0),
                work / (nodes * cores),
            )
        )
    return found


def _last_end(times: Sequence[float], slots: int, dispatch: float) -> float:
    """Return when the last task ends, each given to the slot that is free first."""
    free = [0.0] * min(slots, max(1, len(times)))
    last = 0.0
    for number, seconds in enumerate(times):
        handed = (number + 1) * dispatch
        ends = max(handed, heapq.heappop(free)) + seconds
        heapq.heappush(free, ends)
        last = max(last, ends)
    return last


def makespan(ran: Sequence[Ran]) -> float:
    """Return the seconds of a run."""
    return sum(stage.seconds for stage in ran)


def efficiency(ran: Sequence[Ran], nodes: int, cores: int) -> float:
    """Return the share of all cores' time that was work."""
    return sum(stage.work for stage in ran) / (makespan(ran) * nodes * cores)
