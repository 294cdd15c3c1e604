"""Runs that were killed together with their schedule: Prefect marks them as crashed.

A run whose process is killed alone is marked by the schedule that serves it. When the schedule is
killed too, nobody is left to say so; but the heartbeats of the run have stopped, and an automation
on the server waits for those.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore

HEARTBEAT_S = 30  # Prefect's least
SILENCE_S = 3 * HEARTBEAT_S
"""Seconds without a heartbeat after which a run is taken for dead; up to twice as many pass."""


def watch_for_silence(name: str, deployment: UUID) -> None:
    """Make sure that the server marks runs of a deployment as crashed when their heartbeats stop.

    An automation that is there as it should be is left alone, for it knows of runs that were killed
    before.

    Args:
        name: of the deployment.
        deployment: its number.
    """
    from prefect.client.orchestration import get_client

    wanted = crash_automation(name, deployment)
    with get_client(sync_client=True) as client:
        there = client.read_automations_by_name(wanted.name)
        if not there:
            client.create_automation(wanted)
        elif str(deployment) not in there[0].model_dump_json():  # of a server begun anew
            client.update_automation(there[0].id, wanted)


def crash_automation(name: str, deployment: UUID) -> AutomationCore:
    """Return the automation that marks silent runs of a deployment as crashed."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    beat = "prefect.flow-run.heartbeat"
    ends = {f"prefect.flow-run.{how}" for how in ("Completed", "Failed", "Cancelled", "Crashed")}
    trigger = EventTrigger(
        after={beat},
        expect={beat, *ends},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        match_related=ResourceSpecification(
            {"prefect.resource.id": [f"prefect.deployment.{deployment}"]}
        ),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=SILENCE_S),
    )
    crashed = ChangeFlowRunState(
        state=StateType.CRASHED, message=f"No sign of life for {SILENCE_S} seconds."
    )
    return AutomationCore(
        name=f"rote: silent runs of {name} have crashed",
        description="Made by rote schedule; made again when it is deleted.",
        trigger=trigger,
        actions=[crashed],
    )
