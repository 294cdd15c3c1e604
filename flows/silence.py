"""Runs that a schedule left when it was killed: they are marked as crashed.

A run whose process is killed alone is marked by the schedule that serves it. When the schedule is
killed too, nobody is left to say so; but the heartbeats of the run have stopped, or it never began,
and an automation on the server waits for either.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore

HEARTBEAT_S = 30  # Prefect's least
SILENCE_S = 4 * HEARTBEAT_S
"""Seconds without a heartbeat after which a run is taken for dead; up to twice as many pass."""
COMPARED = ("after", "expect", "for_each", "match", "match_related", "within")


def clear_left(deployment: UUID) -> None:
    """Clear away what nobody serves any more, when a schedule begins.

    Runs that were due meanwhile are deleted: the next does as much as all. One that was about to
    begin is marked as crashed: it holds the only slot of the deployment.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    def of(state: StateType) -> filters.FlowRunFilter:
        return filters.FlowRunFilter(
            deployment_id=filters.FlowRunFilterDeploymentId(any_=[deployment]),
            state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[state])),
            expected_start_time=filters.FlowRunFilterExpectedStartTime.model_validate(
                {"before_": datetime.now(UTC)}
            ),
        )

    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=of(StateType.SCHEDULED), limit=200):
            client.delete_flow_run(run.id)
        for run in client.read_flow_runs(flow_run_filter=of(StateType.PENDING), limit=200):
            client.set_flow_run_state(run.id, Crashed(message="Its schedule was killed."))


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
        elif _triggered(there[0]) != _triggered(wanted):  # of another version, or deployment
            client.update_automation(there[0].id, wanted)


def _triggered(automation: AutomationCore) -> dict[str, Any]:
    """Return what an automation waits for; that of the server also has numbers of its own."""
    return automation.trigger.model_dump(include=set(COMPARED))


def crash_automation(name: str, deployment: UUID) -> AutomationCore:
    """Return the automation that marks silent runs of a deployment as crashed."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    beat = "prefect.flow-run.heartbeat"
    begins = {"prefect.flow-run.Pending", "prefect.flow-run.Running"}
    ends = {f"prefect.flow-run.{how}" for how in ("Completed", "Failed", "Cancelled", "Crashed")}
    trigger = EventTrigger(
        after={beat, *begins},
        expect={beat, "prefect.flow-run.Running", *ends},
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
