"""Preview what a filter would remove, rule by rule, without a change to the run folder."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config.sections import Config
from pipeline.engine.run_folder import read_run
from pipeline.engine.session import Session, idle
from pipeline.engine.stage import Work
from pipeline.filter import decisions
from pipeline.filter.overrides import enter
from pipeline.run import BEFORE, FILTER, FIND, KEEP_OUT, SCAN, STAGES

DECIDING = (
    "personal",
    "former",
    "held",
    "contaminated",
    "documents",
    "decisions",
)  # the stages of a filter that write no rows


def preview(
    out: Path, config: Config, forget: Mapping[str, bool] | None = None
) -> dict[str, Any] | None:
    """Return the facts of the decisions that a filter would make now; None without a scan.

    The stages run in a temporary folder; nothing else is written.

    Args:
        out: the run folder.
        config: the settings.
        forget: texts that would be forgotten too, by hash; whether each was named.

    Raises:
        ConfigError: When the policy needs a forecast that the run does not have.
    """
    session = Session(read_run(out), config, idle, STAGES)
    enter(session.manifest, forget or {})
    if not all(session.current(stage) for stage in SCAN):
        return None
    decisions.require_scored(config, scored=session.current(STAGES["risk"]), folder=out)
    made: dict[str, tuple[str, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="rote-") as folder:
        for stage in (*FIND, *KEEP_OUT, *BEFORE, *FILTER):
            if stage.name not in DECIDING or not stage.wanted(config):
                continue
            if stage in BEFORE and session.current(stage):  # made once a scan
                continue
            found: dict[str, tuple[str, ...]] = {}
            for key in session.units(stage):
                work = session.work(stage, key, 1)
                receipt = stage.function(_elsewhere(work, Path(folder), made))
                for record in receipt.files:
                    place = str(Path(folder) / record.path)
                    found[record.table] = (*found.get(record.table, ()), place)
            made |= found
    return receipt.facts


def _elsewhere(work: Work, folder: Path, made: dict[str, tuple[str, ...]]) -> Work:
    """Return the work with its outputs in another folder, and the tables made there as inputs."""
    tables = {
        name: tuple(str(work.folder.resolve() / path) for path in paths)
        for name, paths in work.tables.items()
    }
    return replace(work, folder=folder, tables={**tables, **made})
