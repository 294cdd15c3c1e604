"""`rote check`: name every file of a run folder that is not as it was written; mend it if asked."""

from __future__ import annotations

import sys
from pathlib import Path

from flows.runners import LocalMapper
from pipeline.config.load import load_config
from pipeline.engine.check import CHANGED, FOREIGN, MISSING, UNTRUE, Difference, check
from pipeline.engine.manifest import load_manifest
from pipeline.engine.memory import workers_of
from pipeline.names import shown
from pipeline.run import ACTS, COMMANDS, TABLES, session
from pipeline.scan.inventory import require_unchanged

OK, FAILED = 0, 1
DAMAGE = (MISSING, CHANGED, UNTRUE)


def check_run(folder: Path, *, repair: bool) -> int:
    """Print every difference; with `repair` run what makes damaged files anew, and look again.

    Raises:
        RunFolderError: It is no run folder, or its manifest is damaged.
        InputError: A file of the corpus that is needed for the repair changed.
    """
    files, found = check(folder, TABLES)
    _print(folder, files, found)
    if found and repair:
        _repair(folder, found)
        files, found = check(folder, TABLES)
        sys.stdout.write("after the repair:\n")
        _print(folder, files, found)
    elif found:
        sys.stdout.write(f"make anew what is damaged: rote check {folder} --repair\n")
    return FAILED if found else OK


def _print(folder: Path, files: int, found: list[Difference]) -> None:
    lines = [f"{one.kind:<10} {shown(one.path)}  {_told(folder, one)}" for one in found]
    lines.append(
        f"{len(found):,} difference{'' if len(found) == 1 else 's'}; {files:,} files are recorded"
        if found
        else f"whole: all {files:,} files are as they were written, and there are no others"
    )
    sys.stdout.write("\n".join(lines) + "\n")


def _told(folder: Path, one: Difference) -> str:
    """Return what was found, and which command makes the file anew."""
    if one.kind == FOREIGN:
        return f"{one.found} (it stays; move it away yourself)"
    if one.path.startswith("backtest/"):
        return f"{one.found} (rote backtest {folder})"
    act = _act_of(one.output)
    return f"{one.found} (rote {act}, with --verify)" if act else one.found


def _act_of(output: str) -> str:
    stage = output.partition("/")[0]
    return next((act for act, stages in ACTS.items() if stage in {s.name for s in stages}), "")


def _repair(folder: Path, found: list[Difference]) -> None:
    """Run, with --verify, the first act that lost a file, and those after it that were done."""
    manifest = load_manifest(folder)
    damaged = {_act_of(one.output) for one in found if one.kind in DAMAGE and one.output}
    done = {_act_of(output) for output in manifest["outputs"]}
    acts = list(ACTS)
    first = min((acts.index(act) for act in damaged if act), default=len(acts))
    due = [act for act in acts[first:] if act in done]
    if due:
        require_unchanged(manifest)
    config = load_config(base=manifest["config"])
    mapper = LocalMapper(workers_of(config))
    corpus = manifest["corpus"]["roots"] if "scan" in due else ()
    with session(
        folder, config, mapper, corpus=corpus, verify=True, command="check --repair"
    ) as opened:
        for act in due:
            COMMANDS[act](opened)
