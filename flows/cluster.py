"""Units of work on the nodes of a Ray cluster, which all see the run folder and the corpus.

Who maps units stays as it is, threads or Prefect tasks: each waits for one unit that runs as a Ray
task. A unit gets paths and gives a receipt, so nothing else passes between nodes. The unit of a
stage that spreads runs here, and its parts as Ray tasks; what they tell one another lies in the run
folder. A node that is lost takes its tasks with it, and Ray runs them again elsewhere.
"""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pipeline.config.sections import Config
from pipeline.engine.files import handed_over, holding, taken_over
from pipeline.engine.memory import begin, one_heap
from pipeline.engine.parts import elsewhere
from pipeline.engine.spill import close_sent
from pipeline.engine.stage import Mapper, Receipt, StageFunction, Work
from pipeline.errors import ConfigError, PipelineError, TransientIOError
from pipeline.installed import require
from pipeline.run import STAGES

RAY = "ray"
ON_GPU = ("sequences", "probes")
RETRIES = 5  # of a unit whose node was lost
PARTS_AHEAD = 2  # of a stage, for each place that one runs in
PROBE_SECONDS = 120.0
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
P = TypeVar("P")
T = TypeVar("T")


def address_of(runner: str) -> str:
    """Return the address in `ray:ADDRESS`, empty for a cluster of this machine alone.

    Raises:
        ConfigError: it names another runner.
    """
    name, _, address = runner.partition(":")
    if name != RAY:
        raise ConfigError(
            "There is no such runner.",
            where=f"--runner {runner}",
            expected="ray, or ray:ADDRESS (auto, HOST:PORT or ray://HOST:PORT)",
        )
    return address


@contextmanager
def cluster(runner: str, folder: Path) -> Iterator[Cluster]:
    """Give a Ray cluster whose nodes were tried; it is left, or ended if it was begun here.

    Args:
        runner: as on the command line.
        folder: the run folder, which every node must see.

    Raises:
        ConfigError: Ray is not installed, does not answer, or a node cannot do the work.
    """
    address = address_of(runner)
    require("ray")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    try:
        ray.init(address=address or None, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            "The Ray cluster does not answer.",
            where=f"--runner {runner}",
            found=type(error).__name__,
            fix="start one (ray start --head), and name it: --runner ray:HOST:6379",
        ) from error
    try:
        _require_nodes(ray, folder)
        yield Cluster(ray)
    finally:
        ray.shutdown()


def require_whole(config: Config, runner: str) -> None:
    """Refuse files that come when one process reads them, which other nodes would not find.

    Args:
        config: the settings.
        runner: as on the command line.

    Raises:
        ConfigError: there is `limits.scratch_disk`.
    """
    if config.limits.scratch_disk:
        raise ConfigError(
            "On a cluster all of the corpus has to lie where every node has it.",
            where=f"--runner {runner}",
            found="limits.scratch_disk, by which only a part of it is there at a time",
            fix="leave it out, and name a folder that all nodes share: --set limits.scratch=FOLDER",
        )


def _require_nodes(ray: Any, folder: Path) -> None:  # noqa: ANN401 - the module
    """Refuse a cluster with a node that has another version of rote, or not the run folder.

    Raises:
        ConfigError: it names the node.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    folder.mkdir(parents=True, exist_ok=True)
    token = folder / f".spill-{secrets.token_hex(4)}"
    token.mkdir()
    try:
        tried = {}
        for node in ray.nodes():
            if node["Alive"]:
                where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                task = ray.remote(_probe()).options(num_cpus=0, scheduling_strategy=where)
                tried[node["NodeManagerAddress"]] = task.remote(str(token))
        for name, answer in tried.items():
            _require_node(ray, name, answer)
    finally:
        token.rmdir()


def _probe() -> Callable[[str], tuple[str, bool]]:
    """Return what a node is asked: a function that is sent whole, since rote may not be there."""

    def probe(token: str) -> tuple[str, bool]:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as version_of
        from pathlib import Path as AnyPath

        try:
            return version_of("rote"), AnyPath(token).is_dir()
        except PackageNotFoundError:
            return "none", True

    return probe


def _require_node(ray: Any, name: str, answer: Any) -> None:  # noqa: ANN401
    from ray.exceptions import RayError

    try:
        found, sees = ray.get(answer, timeout=PROBE_SECONDS)
    except RayError as error:
        raise ConfigError(
            "A node of the Ray cluster does not answer.", where=name, found=type(error).__name__
        ) from error
    if found != version("rote"):
        raise ConfigError(
            "A node of the Ray cluster has another version of rote.",
            where=name,
            found=found,
            expected=version("rote"),
            fix="install the same version on every node",
        )
    if not sees:
        raise ConfigError(
            "A node of the Ray cluster does not see the run folder.",
            where=name,
            fix="put run folder and corpus where every node has them, under the same path",
        )


class Cluster:
    """A Ray cluster that runs units.

    Attributes:
        workers: units that it runs at once.
        sites: parts of a stage that it runs at once.
        beside: of these, at most so many on one node.
    """

    def __init__(self, ray: Any) -> None:  # noqa: ANN401
        self._ray = ray
        self._task = ray.remote(unit_on_node)
        self._part = ray.remote(part_on_node).options(num_cpus=1, max_retries=RETRIES)
        nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        self._largest = max(1, int(max(nodes, default=1)))
        self.workers = max(1, int(sum(nodes)))
        self.sites, self.beside = self.workers, self._largest
        self._gpus = ray.cluster_resources().get("GPU", 0)

    def mapper(self, inner: Mapper) -> Mapper:
        """Return a mapper like another one whose units run here."""

        def mapped(
            stage: str, function: StageFunction, works: Iterable[Work]
        ) -> Iterator[tuple[int, Receipt]]:
            return inner(stage, partial(self._run, stage, function), works)

        return mapped

    def in_order(self, task: Callable[[P], T], works: Iterable[P]) -> Iterator[T]:
        """Yield task(work) for each work, in order, each part on some node.

        Raises:
            PipelineError: what a part raised, or that the cluster lost it for good.
        """
        sent = self._ray.put(task)
        running: deque[Any] = deque()
        try:
            for work in works:
                running.append(self._part.remote(sent, work))
                if len(running) > PARTS_AHEAD * self.sites:
                    yield self._answer(running.popleft(), "a part")
            while running:
                yield self._answer(running.popleft(), "a part")
        finally:
            for left in running:
                self._ray.cancel(left)

    def _answer(self, running: Any, what: str) -> Any:  # noqa: ANN401
        """Wait for what a Ray task returns.

        Raises:
            PipelineError: what it raised, or that the cluster lost it for good.
        """
        from ray.exceptions import RayError, RayTaskError

        try:
            return self._ray.get(running)
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            raise PipelineError(
                "The Ray cluster lost a unit of work.",
                where=what,
                found=type(error).__name__,
                fix="look at its nodes and run the same command again: what is finished stays",
            ) from error

    def _run(self, stage: str, function: StageFunction, work: Work) -> Receipt:
        """Run one unit on some node and take over its files; or here, and its parts there.

        Raises:
            PipelineError: what the stage raised, or that the cluster lost the unit for good.
        """
        if STAGES[stage].spreads:
            with elsewhere(self):
                return function(work)
        cores = min(work.cores, self._largest)
        gpus = 1 if self._gpus and stage in ON_GPU else 0
        task = self._task.options(
            num_cpus=cores,
            num_gpus=gpus,
            max_retries=RETRIES,
            retry_exceptions=[TransientIOError],
        )
        running = task.remote(function, replace(work, cores=cores))
        receipt: Receipt
        receipt, waiting = self._answer(running, f"{stage}/{work.key}")
        taken_over(waiting)
        return receipt


def unit_on_node(function: StageFunction, work: Work) -> tuple[Receipt, dict[str, str]]:
    """Run a unit in a worker of a node; return its receipt and the files that wait for a name."""
    begin(work.config)
    with holding(work.folder):
        receipt = function(work)
        return receipt, handed_over(work.folder)


def part_on_node(task: Callable[[P], T], work: P) -> T:
    """Run a part of a stage in a worker of a node; arrays in what it is given cannot be written."""
    one_heap()
    try:
        return task(work)
    finally:
        close_sent()  # other nodes see what was put aside once its file is closed
