"""The Prefect flow: the stages of `pipeline.run`, each unit of work a task.

Parameters are plain, so that a deployment is complete in itself and shows in Prefect's pages. Only
paths, a configuration, small works and receipts pass; the text of a document never does.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task
from prefect.utilities.annotations import quote

from flows.artifacts import alarms_of, first_name, followed, publish
from flows.cli import fault
from flows.notify import tell
from flows.places import place_at
from flows.runners import FIXED, FIXED_PARAMETERS, PrefectMapper, units_on
from flows.summary import summarize
from flows.terminal import open_progress
from pipeline.config.load import load_config
from pipeline.engine.memory import workers_of
from pipeline.engine.progress import listen
from pipeline.engine.stage import Receipt, StageFunction, Work
from pipeline.errors import ConfigError, InputError, PipelineError, TransientIOError
from pipeline.names import shown_lines
from pipeline.run import COMMANDS, session

RETRY_SECONDS = [0.5, 5.0]


class Unexpected(Exception):
    """What Prefect sees in place of an error that is not ours.

    Prefect keeps the messages of errors in states and logs; those of other libraries may quote a
    document.

    Attributes:
        error: the error itself.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}; rote's own output has the message")
        self.error = error


@contextmanager
def discreet() -> Iterator[None]:
    """Let our own errors through, and raise another in place of any that is not ours.

    Raises:
        Unexpected: in place of it; it holds the error.
    """
    try:
        yield
    except (PipelineError, Unexpected):
        raise
    except Exception as error:  # noqa: BLE001 - nothing is swallowed: `orchestrator.start` raises the error itself
        raise Unexpected(error) from None


def is_transient(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Tell whether a failed task may be tried again."""
    return isinstance(state.result(raise_on_failure=False), TransientIOError)


@task(
    cache_policy=NO_CACHE,
    persist_result=False,
    task_run_name="{stage} {key}",
    retries=len(RETRY_SECONDS),
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=is_transient,
)
def run_work(stage: str, key: str, function: StageFunction, work: Work) -> Receipt:  # noqa: ARG001 - the run's name
    """Run one unit of a stage."""
    with discreet():
        return function(work)


class Threads(ThreadPoolTaskRunner[Any]):
    """A bounded pool that is not waited for after Ctrl-C: a unit may be minutes in a kernel."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and not issubclass(kind, Exception) and self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
        super().__exit__(kind, error, trace)

    def submit_work(
        self, stage: str, function: StageFunction, work: Work
    ) -> PrefectConcurrentFuture[Receipt]:
        """Hand out one unit as a task; `quote` keeps Prefect from walking through the work."""
        parameters = {
            "stage": stage,
            "key": work.key,
            "function": quote(function),
            "work": quote(work),
        }
        return self.submit(run_work.with_options(name=stage), parameters)


# units run in a pool of the size that the configuration names, which a decorator cannot know
UNUSED = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=1))


@flow(
    name="rote",
    flow_run_name=first_name,
    task_runner=UNUSED,
    persist_result=False,
    on_completion=[tell],
    on_failure=[tell],
    on_crashed=[tell],
)
def rote(  # noqa: PLR0913 - the parameters of a deployment
    corpus: list[str],
    out: str,
    config: dict[str, Any],
    command: str = "run",
    verify: bool = False,
    strict: bool = False,
    runner: str = "",
) -> list[str]:
    """Bring a run folder up to date with a corpus; return the alarms in words.

    corpus, out: absolute paths in a deployment, or addresses of object storage. config: as in
    `rote.toml`. command: run, run --no-score, scan, scan --filter, score, filter or report. verify:
    trust no size or date. strict: fail when there is an alarm. runner: ray or ray:ADDRESS.
    """
    with _deployed() if runtime.deployment.id else discreet():
        require_fixed({"corpus": corpus, "out": out})
        settings = load_config(base=config)
        with (
            place_at(out, settings.limits.scratch) as folder,
            units_on(runner, folder, settings) as (settings, wrapped),
        ):
            workers = workers_of(settings)
            with Threads(max_workers=workers) as pool:
                mapper = wrapped(PrefectMapper(pool.submit_work, workers))
                begun = session(
                    folder, settings, mapper, corpus=corpus, verify=verify, command=command
                )
                with begun as opened, followed(opened, command):
                    COMMANDS[command](opened)
            publish(folder, out)
            _end(folder, strict=strict)
            return [str(alarm["sentence"]) for alarm in alarms_of(folder)]


def require_fixed(given: dict[str, Any]) -> None:
    """Refuse a run of a schedule that names another corpus or folder than the schedule does.

    Args:
        given: the parameters of the run, by name.

    Raises:
        ConfigError: One is not that of the schedule.
    """
    fixed = json.loads(os.environ.get(FIXED, "{}")) if runtime.deployment.id else {}
    other = [name for name in FIXED_PARAMETERS if name in fixed and given[name] != fixed[name]]
    if other:
        raise ConfigError(
            "A run of this schedule may not name another corpus or folder.",
            where=f"parameter {' and '.join(other)}",
            found=", ".join(str(given[name])[:200] for name in other),
            expected=", ".join(str(fixed[name])[:200] for name in other),
            fix="leave them as they are, or open the schedule: rote schedule ... --open-parameters",
        )


@contextmanager
def _deployed() -> Iterator[None]:
    """Say on the terminal of `rote schedule` what a run does, and end when the schedule ends."""
    if (scheduler := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_follow, args=(scheduler,), daemon=True).start()
    sys.stdout.write(f"\nRun of {runtime.flow_run.scheduled_start_time:%Y-%m-%d %H:%M} UTC\n")
    sys.stdout.flush()
    progress = open_progress()
    listen(progress)
    try:
        with discreet():
            yield
    except PipelineError as error:
        sys.stderr.write(f"rote: {error}\n")
        raise
    except Unexpected as stand_in:
        sys.stderr.write(f"rote: {fault(stand_in.error)}\n")
        raise
    except BaseException:  # Ctrl-C, SIGTERM: time to tell the server, none for units in the middle
        threading.Thread(target=_leave_soon, daemon=True).start()
        raise
    finally:
        progress.close()


def _follow(scheduler: BaseProcess) -> None:
    scheduler.join()
    os._exit(1)


def _leave_soon() -> None:
    time.sleep(1.0)
    os._exit(1)


def _end(out: Path, *, strict: bool) -> None:
    """Say the closing words of a deployment's run; fail a strict one that raised alarms."""
    text, alarms = summarize(out)
    if runtime.deployment.id:
        sys.stdout.write(shown_lines(text))
    if strict and alarms:
        raise InputError(
            "The run raised alarms and is strict.",
            where=str(out),
            found=f"{alarms} alarms",
            fix="read them in report/index.html",
        )
