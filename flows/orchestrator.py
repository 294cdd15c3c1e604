"""Prefect around one run: a server to talk to, the flow, a quiet end.

Imports Prefect only when called.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from flows.runners import quiet_prefect
from flows.server import TemporaryServer, home
from pipeline.errors import ConfigError, PipelineError

DRAIN_SECONDS = 10.0
PATIENCE_SECONDS = 1.0
RETRIES = 3


def start(
    *,
    command: str,
    corpus: Sequence[str],
    out: str,
    config: dict[str, Any],
    verify: bool = False,
    runner: str = "",
) -> None:
    """Run the flow `flows.flow:rote` with these parameters, in this process.

    What the pipeline raises comes through as it is.

    Raises:
        PipelineError: the server stopped answering.
        KeyboardInterrupt: after Ctrl-C, within PATIENCE_SECONDS.
    """
    with _impatient(), serving() as api:
        import httpx

        from flows.flow import Unexpected, rote

        try:
            rote(
                command=command,
                corpus=list(corpus),
                out=out,
                config=config,
                verify=verify,
                runner=runner,
            )
        except Unexpected as stand_in:
            raise stand_in.error from None
        except httpx.HTTPError as error:
            raise PipelineError(
                "The Prefect server stopped answering.",
                where=api.url,
                found=type(error).__name__,
                fix="run the same command again, it continues; it goes without Prefect: --local",
            ) from error


class Api(NamedTuple):
    """Where Prefect's API is.

    Attributes:
        url: its address.
        temporary: whether its server ends with this process.
        secret_file: where the secret of a schedule's server is; None for other servers.
    """

    url: str
    temporary: bool
    secret_file: Path | None = None


@contextlib.contextmanager
def serving(*, scheduling: bool = False) -> Iterator[Api]:
    """Give the API: of the user's server when Prefect's settings name one, else of ours.

    Ours ends with the block. It is started before Prefect is imported: both take seconds, and
    neither needs the other.

    Raises:
        ConfigError: the user's server does not answer.
        PipelineError: ours does not start.
    """
    quiet_prefect()
    server = None if os.environ.get("PREFECT_API_URL") else _begin(scheduling)
    try:
        from prefect.settings import PREFECT_API_URL

        named = PREFECT_API_URL.value()  # in the environment, a profile or a prefect.toml
        if named or server is None:
            _check(str(named))
            yield Api(str(named), temporary=False)
            return
        with _talking_to(server, scheduling):
            yield Api(server.url, temporary=True, secret_file=server.secret_file)
            _drain()
    except KeyboardInterrupt:
        if server is not None:
            server.release()
        raise
    finally:
        if server is not None:
            server.stop()


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Repeat Ctrl-C after a moment: Prefect first tells its server, which may be gone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    again = threading.Timer(PATIENCE_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if again.ident is None:
            again.start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        again.cancel()
        signal.signal(signal.SIGINT, before)


def _begin(scheduling: bool) -> TemporaryServer:
    try:
        return TemporaryServer(scheduling=scheduling)
    except OSError as error:
        raise PipelineError(
            "The temporary Prefect server cannot be started.",
            where=str(home()),
            found=str(error.strerror),
            fix="set PREFECT_HOME to a folder that can be written, or leave --prefect out",
        ) from error


@contextlib.contextmanager
def _talking_to(server: TemporaryServer, scheduling: bool) -> Iterator[None]:
    """Point Prefect to our server, without what nobody needs of it.

    The heartbeat of a single run sleeps in whole seconds, which the end and Ctrl-C would wait for;
    those of a schedule have one. The log of a single run is not sent: a failure to send it would be
    written to the terminal.
    """
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        PREFECT_CLIENT_MAX_RETRIES,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    if not server.wait():
        raise PipelineError(
            "The temporary Prefect server did not start.",
            where=str(home()),
            found=server.complaint(),
            fix="leave --prefect out to go without, or name a running server in PREFECT_API_URL",
        )
    ours = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_LOGGING_TO_API_ENABLED: scheduling,
        PREFECT_CLIENT_MAX_RETRIES: RETRIES,
    }
    where = {PREFECT_API_URL: server.url, PREFECT_API_AUTH_STRING: server.secret}
    with temporary_settings(where, set_defaults=ours):
        yield


def _check(url: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    at_once = temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0})
    with at_once, get_client(sync_client=True) as client:
        trouble = client.api_healthcheck()
    if trouble is not None:
        raise ConfigError(
            "The Prefect server that your settings name does not answer.",
            where=f"PREFECT_API_URL={url}",
            found=type(trouble).__name__,
            fix="start it; or unset PREFECT_API_URL to have a temporary one; or add --local",
        )


def _drain() -> None:
    """Send the events of the task runs before the server ends."""
    from prefect.events.worker import EventsWorker

    EventsWorker.drain_all(DRAIN_SECONDS, at_exit=False)
