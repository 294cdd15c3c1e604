"""Keeps the record of a back-test: `backtest.json` with the machine, the commit and the command.

The command itself is run here: what is done already is not done again, and the times of the
outputs are those of when they were made (`events/`), of training side by side where it was so.

    python benchmarks/backtest.py RUN --size miniature --arms filter,random,count --record X.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import machine

PROGRAM = "from flows.cli import main; main()"
STOPPED = 130
LEFT_OUT = ("reliability",)  # in the run's own tables


def main() -> None:
    """Run the back-test, print its headline, write the record."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("run", type=Path)
    asked.add_argument("--size", default="miniature")
    asked.add_argument("--arms", default="")
    asked.add_argument("--set", action="append", default=[])
    asked.add_argument("--record", type=Path)
    given = asked.parse_args()
    command = ["backtest", str(given.run), "--size", given.size]
    command += ["--arms", given.arms] if given.arms else []
    command += [part for setting in given.set for part in ("--set", setting)]
    try:
        code = subprocess.run([sys.executable, "-c", PROGRAM, *command], check=False).returncode
    except KeyboardInterrupt:
        code = STOPPED
    if code:
        sys.exit(code)  # the command has said why
    record = recorded(given.run / "backtest", command)
    if given.record:
        given.record.write_text(json.dumps(record, indent=1) + "\n")


def recorded(folder: Path, command: list[str]) -> dict[str, Any]:
    """Return what is kept of a finished back-test."""
    result = json.loads((folder / "backtest.json").read_bytes())
    lines = (folder / "events" / "stages.jsonl").read_text(encoding="utf-8").splitlines()
    seconds = {
        event["output"]: event["elapsed_s"]
        for event in map(json.loads, lines)
        if "output" in event and event["output"].startswith("train/")
    }
    kept = {key: value for key, value in result.items() if key not in LEFT_OUT}
    return {
        "machine": machine(),
        "corpus": folder.parent.name,
        "command": f"rote {' '.join([command[0], 'RUN', *command[2:]])}",
        "training_seconds": seconds,
        "rows": kept.pop("triples"),
        **kept,
    }


if __name__ == "__main__":
    main()
