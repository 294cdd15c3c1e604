"""`rote schedule`: the flow as a Prefect deployment, served from this process until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from flows.followed import run_name
from flows.notify import VARIABLE
from flows.orchestrator import Api, serving
from flows.places import address_of, place_at
from flows.runners import FIXED, FIXED_PARAMETERS, quiet_prefect
from flows.sensor import Sensor
from flows.silence import HEARTBEAT_S, clear_left, watch_for_silence
from flows.when import Every, OnNewShards, When, in_words, prefect_schedule
from pipeline.config.sections import Config, InputConfig
from pipeline.corpus.files import further
from pipeline.corpus.listed import MARK, is_list
from pipeline.corpus.listing import listing_digest
from pipeline.errors import ConfigError
from pipeline.outline import outline
from pipeline.storage.addresses import is_address

if TYPE_CHECKING:
    from prefect.runner import Runner

NOT_IN_NAMES = frozenset("/%&<>")


@dataclass(frozen=True)
class Served:
    """How the runs of a schedule behave.

    Attributes:
        strict: whether a run with an alarm fails.
        open_to_parameters: whether a run may name another corpus and folder.
        command: what a run does, as in `pipeline.run.COMMANDS`.
    """

    strict: bool = False
    open_to_parameters: bool = False
    command: str = "run"


def serve(
    corpus: Sequence[str], out: Path, config: Config, when: When, name: str, *, how: Served
) -> int:
    """Run everything whenever it is due; return 0 after Ctrl-C.

    Who may start a run of the deployment may name no other corpus and folder, unless it is open.

    One run at a time: one that is due while another still runs waits for it. When this ends the
    schedule is paused, so that on a server of the user's nothing piles up. What is wrong with the
    corpus now is raised before anything is registered.

    Raises:
        ConfigError: the cron expression is none or never comes, or the name is not allowed.
    """
    quiet_prefect()
    told = in_words(when)
    if set(name) & NOT_IN_NAMES:
        raise ConfigError(
            "The name of the deployment has a character that Prefect does not allow.",
            where=f"--name {name}",
            expected=f"none of {' '.join(sorted(NOT_IN_NAMES))}",
        )
    places = [_place(root) for root in corpus]
    with place_at(str(out), config.limits.scratch) as folder:
        outline(folder, config, places)
    parameters = {
        "corpus": places,
        "out": address_of(out) or os.path.abspath(out),  # noqa: PTH100
        "config": config.model_dump(mode="json"),
        "command": how.command,
        "strict": how.strict,
    }
    if not how.open_to_parameters:  # the processes of the runs inherit it; no server can change it
        os.environ[FIXED] = json.dumps({name: parameters[name] for name in FIXED_PARAMETERS})
    with serving(scheduling=True) as api:
        sys.stdout.write(_announce(told, parameters, api, name))
        sys.stdout.flush()
        _run_when_due(when, parameters, name)
    sys.stdout.write("The schedule has ended; the run folder stays as it is.\n")
    return 0


def _place(root: str) -> str:
    """Return a part of the corpus that means the same from any folder; addresses stay."""
    if is_list(root):
        return f"{MARK}{_place(root.removeprefix(MARK))}"
    return root if is_address(root) else os.path.abspath(root)  # noqa: PTH100


def _run_when_due(when: When, parameters: dict[str, Any], name: str) -> None:
    """Register the deployment and run it when it is due, until Ctrl-C or SIGTERM."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.flow import rote

    runner = _runner(name)
    deployment = cast(
        "UUID",
        runner.add_flow(
            rote,
            name=name,
            schedule=prefect_schedule(when),
            parameters=parameters,
            concurrency_limit=1,  # also of runs that another process or worker takes
        ),
    )
    clear_left(deployment)
    watch_for_silence(name, deployment)
    called = run_name(parameters["corpus"], parameters["command"])
    sensor = None
    if isinstance(when, OnNewShards):
        more = further(InputConfig(**parameters["config"]["input"]))
        listing = partial(listing_digest, parameters["corpus"], more)
        sensor = Sensor(listing, deployment, called, when.poll_s)
    if isinstance(when, Every):
        _run_now(deployment, called)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: HEARTBEAT_S}):  # runs inherit it
        asyncio.run(_until_stopped(runner, sensor))


def _runner(name: str) -> Runner:
    """Return a runner that takes SIGTERM as Ctrl-C; Prefect's own handler ends in a warning."""
    from prefect.runner import Runner

    class Server(Runner):
        """One with that handler."""

        def handle_sigterm(self, *_: object) -> None:
            signal.raise_signal(signal.SIGINT)

    return Server(name=name, limit=1)


async def _until_stopped(runner: Runner, sensor: Sensor | None) -> None:
    """Serve, and look at the corpus beside it, until Ctrl-C."""
    tasks = [asyncio.ensure_future(runner.start())]
    if sensor is not None:
        tasks.append(asyncio.ensure_future(sensor.watch()))

    def stop() -> None:
        for run in multiprocessing.active_children():
            run.terminate()
        for task in tasks:
            task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)


def _run_now(deployment: UUID, name: str) -> None:
    """Start one run at once: an interval begins with one."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        client.create_flow_run_from_deployment(deployment, name=name)


def _announce(told: str, parameters: dict[str, Any], api: Api, name: str) -> str:
    whose = "lives as long as this command" if api.temporary else "named by your settings"
    notified = "  notify    on an alarm, a failure, the first success\n"
    notified = notified if os.environ.get(VARIABLE) else ""
    secret = ""
    if api.secret_file is not None:
        secret = f'PREFECT_API_AUTH_STRING="$(cat {shlex.quote(str(api.secret_file))})" '
    return (
        f"Scheduled: {len(parameters['corpus'])} inputs into {parameters['out']}\n"
        f"  when      {told}\n"
        f"{notified}"
        f"  server    {api.url.removesuffix('/api')} ({whose})\n"
        f"  run now   PREFECT_API_URL={api.url} {secret}prefect deployment run rote/{name}\n"
        "Ctrl-C ends the schedule.\n"
    )
