"""Notifications of a schedule: a run posts JSON to a webhook on alarm, failure and first success.

The address of the webhook may hold a secret: it is kept in the environment of the schedule and its
runs alone, and is never printed, logged or handed to Prefect's server.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.errors import ConfigError
from pipeline.names import shown

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

VARIABLE = "ROTE_NOTIFY_URL"
OPTION = "--notify"
SECONDS = 10.0
MOST_ALARMS = 10
MOST_CHARACTERS = 1_000
ENDED = ("COMPLETED", "FAILED", "CRASHED")


def require_url(url: str) -> None:
    """Refuse what is no address of a webhook, without quoting it.

    Raises:
        ConfigError: it is none.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(
            "The address for notifications is none.",
            where=f"{OPTION} or {VARIABLE}",
            expected="http:// or https:// and what the service gave you",
        )


def without_secret(given: Sequence[str]) -> list[str]:
    """Return a command line with dots in place of the address for notifications."""
    shown_as: list[str] = []
    for part in given:
        if shown_as and shown_as[-1] == OPTION:
            shown_as.append("...")
        else:
            shown_as.append(f"{OPTION}=..." if part.startswith(f"{OPTION}=") else part)
    return shown_as


def event_of(state: str, alarms: int, former: str | None) -> str | None:
    """Return what there is to tell of a run that has ended; None where there is nothing.

    Args:
        state: of Prefect, as COMPLETED.
        alarms: of its report.
        former: the state in which the run before it ended; None when it was the first.
    """
    if state in ("FAILED", "CRASHED"):
        return "failure"
    if alarms:
        return "alarm"
    return "success" if former != "COMPLETED" else None


def in_words(event: str, name: str, alarms: Sequence[str], message: str) -> str:
    """Return a notification as text."""
    if event == "failure":
        return f"{name} has failed. {message}"
    if event == "alarm":
        more = f" (and {len(alarms) - 1} more)" if len(alarms) > 1 else ""
        return f"{name} has raised an alarm. {alarms[0]}{more}"
    return f"{name} has succeeded, as the first one or the first after a failure."


def tell(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect names them
    """Post how a run of a deployment ended, if there is an address and anything to tell.

    This is a hook of the flow: Prefect calls it in the process of the run, and in that of the
    schedule or worker when the run was killed.
    """
    url = os.environ.get(VARIABLE)
    if not url or flow_run.deployment_id is None:
        return
    from prefect.client.orchestration import get_client

    result = state.result(raise_on_failure=False) if state.is_completed() else None
    alarms = [str(sentence) for sentence in result] if isinstance(result, list) else []
    with get_client(sync_client=True) as client:
        event = event_of(state.type.value, len(alarms), _former(client, flow_run))
        if event is None:
            return
        name = client.read_flow_run(flow_run.id).name
        deployment = client.read_deployment(flow_run.deployment_id).name
    text = in_words(event, name, alarms, state.message or "")
    complaint = post(
        url,
        {
            "event": event,
            "text": shown(text)[:MOST_CHARACTERS],
            "run": name,
            "deployment": deployment,
            "state": state.type.value,
            "alarms": [shown(sentence) for sentence in alarms[:MOST_ALARMS]],
            "run_folder": flow_run.parameters.get("out", ""),
        },
    )
    if complaint:
        sys.stderr.write(f"rote: a notification was not taken: {complaint}\n")
        sys.stderr.flush()


def _former(client: SyncPrefectClient, run: FlowRun) -> str | None:
    """Return the state in which the run of the deployment before this one ended."""
    from prefect.client.schemas import filters, sorting
    from prefect.client.schemas.objects import StateType

    states = [StateType(state) for state in ENDED]
    ended = filters.FlowRunFilter(
        deployment_id=filters.FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=states)),
        id=filters.FlowRunFilterId(not_any_=[run.id]),
    )
    latest = sorting.FlowRunSort.END_TIME_DESC
    found = client.read_flow_runs(flow_run_filter=ended, sort=latest, limit=1)
    return found[0].state_type.value if found and found[0].state_type is not None else None


def post(url: str, facts: dict[str, Any]) -> str:
    """Post facts as JSON; return what went wrong, without the address, or nothing."""
    request = urllib.request.Request(  # noqa: S310 - http or https: `require_url`
        url, json.dumps(facts).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP {error.code}"
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return type(reason).__name__
