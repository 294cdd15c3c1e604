"""Say what a back-test costs before it starts: trainings, tokens, FLOPs, minutes by a trial."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from pipeline.backtest.training.trainings import Training
from pipeline.config.sections import ProxyConfig
from pipeline.score.proxy.ensemble import chosen_device
from pipeline.score.proxy.train import Schedule, train

TRIAL_STEPS = 4


def cost_lines(trainings: Sequence[Training], config: ProxyConfig, workers: int) -> list[str]:
    """Return lines that say what the trainings to do cost.

    Minutes are of training alone, from a few steps of each shape on this machine as it is now.

    Args:
        trainings: the trainings to do.
        config: the settings of the proxies.
        workers: trainings at a time.
    """
    if not trainings:
        return ["nothing to train: every model is there"]
    lines = [f"{len(trainings)} trainings to do, {workers} at a time:"]
    seconds = [_seconds(one, config) for one in trainings]
    for one, spent in zip(trainings, seconds, strict=True):
        tokens = one.rows[:, 1:].size * config.epochs
        lines.append(
            f"  {one.name:<14} {one.shape.parameters:>12,} parameters  {tokens:>13,} tokens"
            f"  {one.cost * config.epochs:.1e} FLOPs  {spent / 60:6.1f} min"
        )
    total = max(sum(seconds) / workers, max(seconds))
    flops = sum(one.cost for one in trainings) * config.epochs
    lines.append(f"  in all {flops:.1e} FLOPs, about {math.ceil(total / 60)} min of training")
    return lines


def _seconds(one: Training, config: ProxyConfig) -> float:
    """Return the seconds that a training will take, measured on a few of its steps."""
    rows = one.rows[: config.batch]
    steps = -(-len(one.rows) // config.batch) * config.epochs
    trial = replace(one, rows=rows)
    schedule = Schedule(TRIAL_STEPS, config.batch, config.rate, one.seed)
    device = chosen_device(config)
    train(trial.shape, rows, replace(schedule, epochs=1), device)
    begun = time.perf_counter()
    train(trial.shape, rows, schedule, device)
    return (time.perf_counter() - begun) / TRIAL_STEPS * steps
