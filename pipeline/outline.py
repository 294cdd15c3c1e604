"""What a command would do and what is no longer current, without a change to the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.engine.manifest import load_manifest
from pipeline.engine.run_folder import RunAsRecorded, RunFolder, refuse_foreign
from pipeline.engine.session import Session, idle
from pipeline.run import ACTS, ACTS_OF, STAGES, new_manifest
from pipeline.scan.inventory import check_places, inventory


def outline(
    out: Path, config: Config, corpus: Sequence[str] = (), *, verify: bool = False
) -> Session:
    """Return a run as a command would find it, with the corpus as it is now; writes nothing.

    Raises:
        InputError: A file of the corpus cannot be used.
        RunFolderError: There is no run folder and no corpus for one.
    """
    manifest = load_manifest(out) if (out / "manifest.json").exists() else new_manifest()
    if corpus:
        check_places(corpus, out)
        refuse_foreign(out)
        inventory(manifest, corpus, config, verify=verify)
    elif not (out / "manifest.json").exists():
        load_manifest(out)
    return Session(RunFolder(out, manifest), config, idle, STAGES, verify, tuple(corpus))


def plan(command: str, session: Session) -> list[tuple[str, int, int]]:
    """Return (stage, units due, units) of what a command would do."""
    stages = [stage for act in ACTS_OF[command] for stage in ACTS[act]]
    return [
        (
            stage.name,
            sum(session.due(stage, key) for key in session.units(stage)),
            len(session.units(stage)),
        )
        for stage in stages
        if stage.wanted(session.config)
    ]


def stale_tables(out: Path) -> frozenset[str]:
    """Return the tables of a run folder that its last scan or settings have left behind."""
    run = RunAsRecorded(out, load_manifest(out))
    known = Session(run, load_config(base=run.manifest["config"]), idle, STAGES)
    return frozenset(
        record["table"]
        for output, entry in run.manifest["outputs"].items()
        if not _is_current(known, output.partition("/")[0])
        for record in entry["files"]
    )


def _is_current(session: Session, name: str) -> bool:
    return name in STAGES and session.current(STAGES[name])
