"""Prefect around one run: a server to talk to, the flow, and a quiet end. Imports Prefect only when called."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from flows.runners import quiet_prefect
from flows.server import TemporaryServer
from pipeline.errors import ConfigError, PipelineError

DRAIN_SECONDS = 10.0
PATIENCE_SECONDS = 1.0
RETRIES = 3


def start(**request: Any) -> None:
    """Run the flow `flows.flow:rote` with these parameters in this process, and return when it is done.

    Raises what the pipeline raises, as it is; PipelineError when the server goes away; KeyboardInterrupt at once.
    """
    with _impatient(), serving() as url:
        import httpx

        from flows.flow import Unexpected, rote

        try:
            rote(**request)
        except Unexpected as stand_in:
            raise stand_in.error from None
        except httpx.HTTPError as error:
            raise PipelineError(
                "The Prefect server stopped answering.",
                where=url,
                found=type(error).__name__,
                fix="run the same command again, it continues; or add --local to go without Prefect",
            ) from error


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Repeat Ctrl-C after a moment: Prefect reports the end to its server first, which may be gone."""
    repeat = threading.Timer(PATIENCE_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
    repeat.daemon = True

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if not repeat.is_alive() and not repeat.finished.is_set():
            repeat.start()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        repeat.cancel()
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def serving(*, scheduling: bool = False) -> Iterator[str]:
    """Give the API's address: the user's server when Prefect's settings name one, else one that ends with the block.

    The temporary server is started before Prefect is imported, since both take seconds and neither needs the other.
    Raises ConfigError when the user's server does not answer, PipelineError when ours does not start.
    """
    quiet_prefect()
    server = None if os.environ.get("PREFECT_API_URL") else TemporaryServer(scheduling=scheduling)
    try:
        from prefect.settings import PREFECT_API_URL

        named = PREFECT_API_URL.value()  # in the environment, a profile or a prefect.toml
        if named or server is None:
            _check(str(named))
            yield str(named)
            return
        with _talking_to(server, scheduling):
            yield server.url
            _drain()
    except KeyboardInterrupt:
        if server is not None:
            server.release()
        raise
    finally:
        if server is not None:
            server.stop()


@contextlib.contextmanager
def _talking_to(server: TemporaryServer, scheduling: bool) -> Iterator[None]:
    """Point Prefect to a temporary server, with what it needs no more: heartbeats and a copy of the log.

    A heartbeat thread sleeps in whole seconds, which end and Ctrl-C would wait for; nobody watches the beats.
    """
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_CLIENT_MAX_RETRIES,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    if not server.wait():
        raise PipelineError(
            "The temporary Prefect server did not start.",
            where=server.url,
            found=server.complaint(),
            fix="add --local to go without Prefect, or name a running server in PREFECT_API_URL",
        )
    ours = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_LOGGING_TO_API_ENABLED: scheduling,
        PREFECT_CLIENT_MAX_RETRIES: RETRIES,
    }
    with temporary_settings({PREFECT_API_URL: server.url}, set_defaults=ours):
        yield


def _check(url: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(sync_client=True) as client,
    ):
        trouble = client.api_healthcheck()
    if trouble is not None:
        raise ConfigError(
            "The Prefect server that your settings name does not answer.",
            where=f"PREFECT_API_URL={url}",
            found=type(trouble).__name__,
            fix="start it, or unset PREFECT_API_URL to have a temporary one, or add --local to go without",
        )


def _drain() -> None:
    """Send the events of the task runs before the server ends."""
    from prefect.events.worker import EventsWorker

    EventsWorker.drain_all(DRAIN_SECONDS, at_exit=False)
