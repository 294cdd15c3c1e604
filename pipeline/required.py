"""What a command needs of a run folder and of its settings before it works."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from pipeline.config.explained import toml
from pipeline.engine.progress import current
from pipeline.engine.session import Session
from pipeline.engine.stage import ALL, Stage
from pipeline.errors import ConfigError
from pipeline.filter import decisions, documents
from pipeline.scan.inventory import require_unchanged
from pipeline.settings_check import check_filter, check_report, check_score

TOLD = 8  # settings


def require(
    session: Session,
    command: str,
    scan: Sequence[Stage],
    score: Sequence[Stage],
    filter_: Sequence[Stage],
) -> None:
    """Refuse to go on when the scan is not there, not finished, or of a corpus that has changed.

    Args:
        session: the open run.
        command: score, filter or report.
        scan: the stages that must be current.
        score: those whose outputs must be whole where they are used.
        filter_: those that a report is of.

    Raises:
        ConfigError: The scan is not current, there is nothing to report on, or a setting would be
            refused later.
        InputError: The corpus has changed.
    """
    require_unchanged(
        session.manifest, verify=session.verify, room=session.config.limits.scratch_disk or None
    )
    missing = [stage.name for stage in scan if not session.current(stage)]
    if missing:
        raise ConfigError(
            f"This run folder cannot be used for `{command}` yet: "
            "its scan is not finished, or is of other settings.",
            where=str(session.run.folder),
            found=f"not current: {', '.join(missing)}",
            fix="finish it: rote scan CORPUS... --out RUN (with the same settings)",
        )
    if command in ("filter", "report"):
        session.require_whole(score)
    if command == "filter":
        found = session.run.paths("counts")
        documents.require_sources(found, session.config.near)
        decisions.require_sources(found, session.config.policy)
        decisions.require_scored(
            session.config,
            scored=session.current(session.stages["risk"]),
            folder=session.run.folder,
        )
    if command == "report":
        _require_filtered(session, filter_)
    check_settings(session, command)
    adopt(session)


def check_settings(session: Session, *commands: str) -> None:
    """Refuse settings that a stage of these commands would refuse."""
    config = session.config
    if "score" in commands and session.due(session.stages["sequences"], ALL):
        check_score(config)
    if "filter" in commands:
        check_filter(session.manifest, config, session.run.folder)
    if "report" in commands:
        check_report(config)


def _require_filtered(session: Session, stages: Sequence[Stage]) -> None:
    """Refuse to report rows as kept that are not there."""
    missing = [stage.name for stage in stages if not session.current(stage)]
    if missing:
        raise ConfigError(
            "There is nothing to report on yet.",
            where=str(session.run.folder),
            found="the filter has not finished, or is of an earlier scan or other settings "
            f"(not current: {', '.join(missing)})",
            fix=f"run `rote filter {session.run.folder}` first",
        )


def adopt(session: Session) -> None:
    """Save the configuration as that of the run folder.

    A command that was refused leaves the former one. A scan begins with the defaults, so that it
    tells which settings are others than those of the command before, and how to have those again.
    """
    former = session.manifest["config"]
    session.manifest["config"] = session.config.model_dump(mode="json", exclude={"limits"})
    session.run.save()
    changed = _changed(former, session.manifest["config"]) if session.corpus else {}
    if changed:
        more = f" and {len(changed) - TOLD} more" if len(changed) > TOLD else ""
        sets = [_typed(name, value) for name, value in changed.items() if value is not None]
        again = f"; with those again: {' '.join(sets[:TOLD])}" if sets else ""
        current().message(
            "other settings than of the last command here (scan and run begin with the defaults): "
            f"{', '.join(list(changed)[:TOLD])}{more}{again}"
        )
    lost = set(changed.get("policy.rules") or ()) - set(session.config.policy.rules)
    if lost:
        current().message(
            f"ALARM  this command leaves out rules of the last one: {', '.join(sorted(lost))}. "
            "What they took, cut or masked is in kept/ again once a filter ends."
        )


def _changed(former: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return the former values of the settings that two configurations have otherwise, by name."""
    return {
        f"{section}.{name}": former[section][name]
        for section, values in now.items()
        for name, value in values.items()
        if section in former and former[section].get(name, value) != value
    }


def _typed(name: str, value: object) -> str:
    """Return a setting as it is typed on a command line."""
    return f"--set {shlex.quote(f'{name}={toml(value)}')}"
