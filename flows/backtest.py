"""`rote backtest`: run or continue it in this process, say what came out."""

from __future__ import annotations

import argparse
import json
import sys

from flows.terminal import open_progress
from pipeline.config.load import load_config
from pipeline.engine.progress import current, listen
from pipeline.run import saved_config


def start(asked: argparse.Namespace) -> int:
    """Run the back-test that was asked for; return the exit code."""
    from pipeline.backtest.backtest import FOLDER, RESULT, backtest
    from pipeline.backtest.result import headline_lines

    config = load_config(asked.config, asked.set, saved_config(asked.out))
    arms = [name for name in asked.arms.split(",") if name]
    progress = open_progress()
    listen(progress)
    try:
        result = backtest(asked.out, config, asked.size, arms, dry_run=asked.dry_run)
        current().unit_done("backtest")
    finally:
        progress.close()
    if asked.json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
    elif not asked.dry_run:
        lines = [*headline_lines(result), f"back-test: {asked.out / FOLDER / RESULT}"]
        sys.stdout.write("\n".join(lines) + "\n")
    return 0
