"""When the runs of a schedule are due: by cron, at an interval, or when the corpus has changed."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from prefect.schedules import Schedule

    from flows.arguments import ScheduleArguments

ZONES = Path("/usr/share/zoneinfo")
SECONDS_OF = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LEAST_EVERY_S = 10
POLL_S = 60


@dataclass(frozen=True)
class ByCron:
    """Due when a cron expression says, in this machine's time zone.

    Attributes:
        cron: the expression.
    """

    cron: str


@dataclass(frozen=True)
class Every:
    """Due at once, and then at an interval.

    Attributes:
        seconds: of the interval.
        asked: the interval as it was typed.
    """

    seconds: int
    asked: str


@dataclass(frozen=True)
class OnNewShards:
    """Due when the listing of the corpus is another than at the last run.

    Attributes:
        poll_s: seconds between two looks.
    """

    poll_s: int


When: TypeAlias = ByCron | Every | OnNewShards


def when_of(asked: ScheduleArguments) -> When:
    """Return when runs are due, from the arguments of `rote schedule`.

    Raises:
        ConfigError: an interval or a number of seconds is none, or is given without its option.
    """
    if asked.poll is not None and not asked.on_new_shards:
        raise ConfigError(
            "Only --on-new-shards looks at the corpus every so many seconds.",
            where=f"--poll {asked.poll}",
            fix="leave it out, or add --on-new-shards in place of --cron or --every",
        )
    if asked.every is not None:
        return Every(_seconds(asked.every), asked.every)
    if asked.on_new_shards:
        return OnNewShards(_poll(POLL_S if asked.poll is None else asked.poll))
    return ByCron(asked.cron or "")


def _seconds(text: str) -> int:
    """Return the seconds of an interval such as 6h.

    Raises:
        ConfigError: it is none, or shorter than anything that a run does.
    """
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text.strip())
    seconds = int(found[1]) * SECONDS_OF[found[2]] if found else 0
    if seconds < LEAST_EVERY_S:
        raise ConfigError(
            "The interval is none.",
            where=f"--every {text}",
            found=f"{seconds} s" if found else "",
            expected=f"a number and s, m, h or d, as 6h; {LEAST_EVERY_S} s or more",
        )
    return seconds


def _poll(seconds: int) -> int:
    if not 1 <= seconds <= SECONDS_OF["d"]:
        raise ConfigError(
            "The corpus cannot be looked at that often.",
            where=f"--poll {seconds}",
            expected=f"1 to {SECONDS_OF['d']} seconds",
        )
    return seconds


def prefect_schedule(when: When) -> Schedule | None:
    """Return the schedule of a Prefect deployment; none where the corpus says when.

    Raises:
        ConfigError: the cron expression is none.
    """
    from prefect.schedules import Cron, Interval

    if isinstance(when, ByCron):
        _require_cron(when.cron)
        return Cron(when.cron, timezone=local_zone())
    if isinstance(when, Every):
        return Interval(timedelta(seconds=when.seconds), anchor_date=datetime.now(UTC))
    return None


def _require_cron(cron: str) -> None:
    from prefect.server.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        CronSchedule(cron=cron, timezone=local_zone())
    except ValidationError as error:
        raise ConfigError(
            "The schedule is not a cron expression.",
            where=f'--cron "{cron}"',
            expected='minute, hour, day, month, weekday: "0 3 * * *" is every day at 3:00',
        ) from error


def in_words(when: When) -> str:
    """Return when the runs are due, for a person.

    Raises:
        ConfigError: the cron expression is none, or never comes.
    """
    if isinstance(when, ByCron):
        begin = next_run(when.cron)
        return f'"{when.cron}" in {begin.tzinfo}; next run {begin:%Y-%m-%d %H:%M}'
    if isinstance(when, Every):
        return f"now, and then every {when.asked}"
    return f"when files come, go or change: looked for every {when.poll_s} s"


def next_run(cron: str) -> datetime:
    """Return when a cron expression comes next, in this machine's time zone.

    Raises:
        ConfigError: it is none, or never does.
    """
    from prefect.server.schemas.schedules import CronSchedule

    _require_cron(cron)
    schedule = CronSchedule(cron=cron, timezone=local_zone())
    try:
        dates = asyncio.run(schedule.get_dates(1))
    except ValueError as error:  # croniter's own error is one
        raise ConfigError(
            "The schedule never comes.", where=f'--cron "{cron}"', found=str(error)
        ) from error
    return dates[0].astimezone(ZoneInfo(local_zone()))


def local_zone() -> str:
    """Return the name of this machine's time zone: TZ, else /etc/localtime, else UTC."""
    named = os.environ.get("TZ", "").removeprefix(":")
    link = Path("/etc/localtime").resolve()
    found = link.relative_to(ZONES).as_posix() if link.is_relative_to(ZONES) else ""
    return next((zone for zone in (named, found) if zone and (ZONES / zone).is_file()), "UTC")
