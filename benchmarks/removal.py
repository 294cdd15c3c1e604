"""Find by training how much each policy must remove from a scored and filtered run.

    python benchmarks/removal.py RUN [--shapes 7x160] [--seeds 2 3] [--policies random count risk]
        [--most 6] [--set a.b=c] [--out RESULT.json]

This is `rote backtest RUN --arms removal` (docs/backtest.md) for a target and policies that are
named: the same search and trainings, kept in RUN/backtest. No forecast is judged and nothing is
declared. Results: a line for each policy and factor, and all rows as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from forecast import shape_of
from scan import machine

from pipeline.backtest.arms.arms import REMOVAL_ARM
from pipeline.backtest.arms.removal import Found, removal
from pipeline.backtest.arms.removal_results import removal_arm_rows, removal_rows
from pipeline.backtest.backtest import opened, planned_arms
from pipeline.backtest.judgement.measures import Bootstrap
from pipeline.backtest.result import removal_line
from pipeline.backtest.training.trainings import targets_of
from pipeline.config.load import load_config
from pipeline.engine.manifest import saved_config


def main() -> int:
    """Search, print and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--shapes", default="7x160")
    parser.add_argument("--seeds", nargs="*", type=int, default=[2, 3])
    parser.add_argument("--policies", nargs="*", default=["random", "count", "risk"])
    parser.add_argument("--most", type=int, default=6)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    config = load_config(settings=asked.set, base=saved_config(asked.run))
    with opened(asked.run, config) as of:
        shape = shape_of(of.subject.vocabulary, asked.shapes)
        plain = targets_of(of.subject, [shape], asked.seeds)
        planned = planned_arms(of, [REMOVAL_ARM], plain[0])
        orders = {name: planned.orders[name] for name in asked.policies}
        planned = replace(planned, orders=orders)
        found = removal(of.subject, planned, plain, of.trainer, asked.most)
        draw = Bootstrap(found.asked.unit, config.backtest.draws, config.proxy.seed)
        rows = {
            "removal": removal_rows(found, draw, of.subject.vocabulary),
            "removal_arms": removal_arm_rows(found, draw, of.subject.vocabulary),
        }
        about = {"parameters": shape.parameters, **sizes(found)}
        about["sample_tokens"] = config.proxy.sample_tokens
        about["scored_tokens"] = config.score.max_tokens
    for row in rows["removal"]:
        sys.stdout.write(removal_line(row) + "\n")
    if asked.out:
        how = {"shapes": asked.shapes, "seeds": asked.seeds, "policies": asked.policies}
        record = {"machine": machine(), "corpus": asked.run.name, **how, "most": asked.most}
        asked.out.write_text(json.dumps({**record, **about, **rows}, indent=1) + "\n")
    return 0


def sizes(found: Found) -> dict[str, Any]:
    """Return how much was taught, what is guessed, and of how many units what is memorized is."""
    asked = found.asked
    natural = found.plain[0].memorized[: len(asked.times)] & ~asked.guessed
    units = asked.unit[: len(natural)]
    return {
        "rows": found.rows,
        "distinct_rows": len(natural),
        "guessed": int(asked.guessed.sum()),
        "memorized": int(natural.sum()),
        "units": len({*units.tolist()}),
        "units_memorized": len({*units[natural].tolist()}),
    }


if __name__ == "__main__":
    sys.exit(main())
