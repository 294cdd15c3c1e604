"""Tell whether the learning rate of one width is right at another, by the rule of `train`.

    python benchmarks/widths.py RUN [--widths 64 128 256] [--layers 3] [--rows 4000]
        [--times 0.25 0.5 1 2 4] [--seed 1] [--out RESULT.json]

RUN is a finished `rote score`; its first rows are what each model is trained on, once, with the
run's batch and `proxy.rate` times each factor, on top of what the rule makes of it for the width
(`pipeline/score/proxy/rates.py`). The loss is that of text that no model was
taught. A row for each width and factor; then for each width how far the loss at factor 1 is above
the best one, in percent.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from scan import machine

from pipeline.backtest.arms.reserve import reserve_of
from pipeline.backtest.subject import Subject, read_subject
from pipeline.backtest.training.trainings import order_of
from pipeline.config.load import load_config
from pipeline.engine.manifest import saved_config
from pipeline.score.proxy.model import Shape
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.rates import rate_of_width
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule, train


def main() -> int:
    """Train every width at every rate, print and write the losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--widths", nargs="*", type=int, default=[64, 128, 256])
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--times", nargs="*", type=float, default=[0.25, 0.5, 1, 2, 4])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    subject = read_subject(asked.run, load_config(settings=[], base=saved_config(asked.run)))
    rows = []
    with torch_threads(1):
        for width in asked.widths:
            for times in asked.times:
                rows.append(trained(subject, width, times, asked))
                sys.stdout.write(json.dumps(rows[-1]) + "\n")
                sys.stdout.flush()
    best = {
        width: best_of([row for row in rows if row["width"] == width]) for width in asked.widths
    }
    sys.stdout.write(json.dumps(best) + "\n")
    if asked.out:
        about = {
            "machine": machine(),
            "run": asked.run.name,
            "rows": asked.rows,
            "layers": asked.layers,
        }
        asked.out.write_text(json.dumps({**about, "losses": rows, "best": best}, indent=1) + "\n")
    return 0


def trained(
    subject: Subject, width: int, times: float, asked: argparse.Namespace
) -> dict[str, Any]:
    """Return the loss of a width at a rate, with the CPU seconds that it took."""
    config = subject.work.config.proxy
    shape = Shape(subject.vocabulary, asked.layers, width)
    schedule = Schedule(1, config.batch, config.rate * times, asked.seed)
    begun = time.process_time()
    rows = subject.rows[order_of(len(subject.rows), asked.seed)[: asked.rows]]
    model = train(shape, rows, schedule).model
    loss = ProxyScorer(model).score(reserve_of(subject, 0).held)["mean_nll"].mean()
    return {
        "width": width,
        "parameters": shape.parameters,
        "times": times,
        "rate": schedule.rate * rate_of_width(width),
        "loss": round(float(loss), 4),
        "cpu_s": round(time.process_time() - begun, 1),
    }


def best_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the best factor of a width, and how far above its loss that of factor 1 is."""
    least = min(rows, key=lambda row: row["loss"])
    own = next(row for row in rows if row["times"] == 1)
    return {
        "best_times": least["times"],
        "loss": least["loss"],
        "loss_by_the_rule": own["loss"],
        "above_percent": round(100 * (own["loss"] / least["loss"] - 1), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
