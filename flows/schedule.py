"""`rote schedule`: the flow as a Prefect deployment, served from this process until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from flows.orchestrator import serving
from flows.runners import quiet_prefect
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.run import plan

if TYPE_CHECKING:
    from prefect.server.schemas.schedules import CronSchedule

ZONES = Path("/usr/share/zoneinfo")


def serve(
    corpus: Sequence[str], out: Path, config: Config, cron: str, name: str, *, strict: bool = False
) -> int:
    """Serve runs of this corpus at the times that `cron` names, in this machine's time zone; return 0 after Ctrl-C.

    One run at a time: one that is due while another still runs waits for it. On Prefect's server the schedule is
    paused when this ends, so that nothing piles up. Raises ConfigError for a cron expression that is none.
    """
    quiet_prefect()
    schedule = _schedule(cron)
    begin = next_run(schedule)
    places = [place if "://" in place else os.path.abspath(place) for place in corpus]  # noqa: PTH100 - keeps globs
    plan("run", out, config, places)  # names what is wrong with the corpus now, not at three in the morning
    parameters = {
        "corpus": places,
        "out": os.path.abspath(out),  # noqa: PTH100 - a link to a run folder stays one
        "config": config.model_dump(mode="json"),
        "strict": strict,
    }
    with serving(scheduling=True) as url:
        from prefect.schedules import Cron

        from flows.flow import rote

        sys.stdout.write(_announce(begin, cron, parameters, url, name))
        sys.stdout.flush()
        rote.serve(
            name=name,
            schedule=Cron(cron, timezone=schedule.timezone),
            parameters=parameters,
            limit=1,
            print_starting_message=False,
        )
    sys.stdout.write("The schedule has ended; the run folder stays as it is.\n")
    return 0


def _schedule(cron: str) -> CronSchedule:
    from prefect.server.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        return CronSchedule(cron=cron, timezone=local_zone())
    except ValidationError as error:
        raise ConfigError(
            "The schedule is not a cron expression.",
            where=f'--cron "{cron}"',
            expected='minute, hour, day, month, weekday: "0 3 * * *" is every day at 3:00',
        ) from error


def next_run(schedule: CronSchedule) -> datetime:
    """Return when a schedule next runs, in its time zone; ConfigError when it never does."""
    try:
        dates = asyncio.run(schedule.get_dates(1))
    except ValueError as error:  # croniter's own error is one
        raise ConfigError(
            "The schedule never comes.", where=f'--cron "{schedule.cron}"', found=str(error)
        ) from error
    return dates[0].astimezone(ZoneInfo(schedule.timezone or "UTC"))


def _announce(
    begin: datetime, cron: str, parameters: dict[str, Any], url: str, name: str
) -> str:
    own = "named by your settings" if os.environ.get("PREFECT_API_URL") == url else "lives as long as this command"
    return (
        f"Scheduled: {len(parameters['corpus'])} inputs into {parameters['out']}\n"
        f'  when      "{cron}" in {begin.tzinfo}; next run {begin:%Y-%m-%d %H:%M}\n'
        f"  server    {url.removesuffix('/api')} ({own})\n"
        f"  run now   PREFECT_API_URL={url} prefect deployment run rote/{name}\n"
        "Ctrl-C ends the schedule.\n"
    )


def local_zone() -> str:
    """Return the IANA name of this machine's time zone: TZ, else where /etc/localtime points, else UTC."""
    named = os.environ.get("TZ", "").removeprefix(":")
    link = Path("/etc/localtime").resolve()
    found = link.relative_to(ZONES).as_posix() if link.is_relative_to(ZONES) else ""
    return next((zone for zone in (named, found) if zone and (ZONES / zone).is_file()), "UTC")
