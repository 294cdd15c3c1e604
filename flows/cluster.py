"""Units of work on the nodes of a Ray cluster, which all see the run folder and the corpus.

Who maps units stays as it is, threads or Prefect tasks: each waits for one unit that runs as a Ray
task. A unit gets paths and gives a receipt, so nothing else passes between nodes. A node that is
lost takes its units with it, and Ray runs them again elsewhere.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.engine.files import handed_over, holding, taken_over
from pipeline.engine.memory import begin
from pipeline.engine.stage import Mapper, Receipt, StageFunction, Work
from pipeline.errors import ConfigError, PipelineError, TransientIOError
from pipeline.installed import require

RAY = "ray"
ON_GPU = ("sequences", "probes")
RETRIES = 5  # of a unit whose node was lost
PROBE_SECONDS = 120.0
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


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
    """

    def __init__(self, ray: Any) -> None:  # noqa: ANN401
        self._ray = ray
        self._task = ray.remote(unit_on_node)
        nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        self._largest = max(1, int(max(nodes, default=1)))
        self.workers = max(1, int(sum(nodes)))
        self._gpus = ray.cluster_resources().get("GPU", 0)

    def mapper(self, inner: Mapper) -> Mapper:
        """Return a mapper like another one whose units run here."""

        def mapped(
            stage: str, function: StageFunction, works: Iterable[Work]
        ) -> Iterator[tuple[int, Receipt]]:
            return inner(stage, partial(self._run, stage, function), works)

        return mapped

    def _run(self, stage: str, function: StageFunction, work: Work) -> Receipt:
        """Run one unit on some node, and take over the files that it wrote.

        Raises:
            PipelineError: what the stage raised, or that the cluster lost the unit for good.
        """
        from ray.exceptions import RayError, RayTaskError

        cores = min(work.cores, self._largest)
        gpus = 1 if self._gpus and stage in ON_GPU else 0
        task = self._task.options(
            num_cpus=cores,
            num_gpus=gpus,
            max_retries=RETRIES,
            retry_exceptions=[TransientIOError],
        )
        receipt: Receipt
        try:
            receipt, waiting = self._ray.get(task.remote(function, replace(work, cores=cores)))
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            raise PipelineError(
                "The Ray cluster lost a unit of work.",
                where=f"{stage}/{work.key}",
                found=type(error).__name__,
                fix="look at its nodes and run the same command again: what is finished stays",
            ) from error
        taken_over(waiting)
        return receipt


def unit_on_node(function: StageFunction, work: Work) -> tuple[Receipt, dict[str, str]]:
    """Run a unit in a worker of a node; return its receipt and the files that wait for a name."""
    begin(work.config)
    with holding(work.folder):
        receipt = function(work)
        return receipt, handed_over(work.folder)
