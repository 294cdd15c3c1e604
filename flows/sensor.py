"""`rote schedule --on-new-shards`: a run is started when the listing of the corpus has changed.

What was last scanned is remembered as a tag of the run in Prefect's history, so that a schedule
that is started again knows it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

TAG = "listing:"
TRIES = 3
"""Runs of one listing that may be killed before the sensor waits for another listing."""


@dataclass(frozen=True)
class Past:
    """A run of the deployment, as the sensor looks at it.

    Attributes:
        state: of Prefect, as COMPLETED or RUNNING.
        listing: the digest of the corpus when it was started by a sensor, else empty.
    """

    state: str
    listing: str


ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


def is_due(listing: str, past: Sequence[Past]) -> bool:
    """Tell whether a run is to be started now.

    That is when no run is on its way and the last one was of another listing. A run that was killed
    is started again, but a listing whose runs are killed TRIES times is left alone until it
    changes.

    Args:
        listing: digest of the corpus, the same at two looks.
        past: the last TRIES runs or more, the latest first.
    """
    if any(run.state not in ENDED for run in past):
        return False
    if not past or past[0].listing != listing:
        return True
    killed = [run for run in past[:TRIES] if run == Past("CRASHED", listing)]
    return past[0].state == "CRASHED" and len(killed) < TRIES


class Sensor:
    """Looks at a corpus again and again, and starts runs of a deployment, of one name."""

    def __init__(
        self, listing: Callable[[], str], deployment: UUID, name: str, poll_s: int
    ) -> None:
        self._listing = listing
        self._name = name
        self._deployment = deployment
        self._poll_s = poll_s
        self._before: str | None = None
        self._trouble = ""

    async def watch(self) -> None:
        """Look until cancelled; what goes wrong at one look is said once."""
        while True:
            self._tell(await asyncio.to_thread(self._look))
            await asyncio.sleep(self._poll_s)

    def _look(self) -> str:
        """Look once and start a run when one is due; return what went wrong."""
        import httpx

        try:
            now = self._listing()
            if now == self._before and is_due(now, self._past()):
                self._start(now)
        except PipelineError as error:
            self._before = None
            return str(error)
        except httpx.HTTPError as error:
            return f"Prefect's server does not answer ({type(error).__name__})."
        self._before = now
        return ""

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            sys.stderr.write(f"rote: {trouble}\n")
            sys.stderr.flush()
        self._trouble = trouble

    def _past(self) -> list[Past]:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
        from prefect.client.schemas.sorting import FlowRunSort

        ours = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self._deployment]))
        latest = FlowRunSort.EXPECTED_START_TIME_DESC
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(flow_run_filter=ours, sort=latest, limit=2 * TRIES)
        return [_past(run) for run in runs]

    def _start(self, listing: str) -> None:
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            client.create_flow_run_from_deployment(
                self._deployment, name=self._name, tags=[f"{TAG}{listing}"]
            )


def _past(run: FlowRun) -> Past:
    state = run.state_type.value if run.state_type is not None else "SCHEDULED"
    tags = [tag.removeprefix(TAG) for tag in run.tags if tag.startswith(TAG)]
    return Past(state, tags[0] if tags else "")
