"""Say what a back-test costs before it starts: trainings, tokens, FLOPs, minutes by a trial."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from pipeline.backtest.training.trainings import Training
from pipeline.config.sections import ProxyConfig
from pipeline.score.proxy.ensemble import chosen_device
from pipeline.score.proxy.model import Shape
from pipeline.score.proxy.train import Schedule, train
from pipeline.text.arrays import Int64

TRIAL_STEPS = 4


def cost_lines(trainings: Sequence[Training], config: ProxyConfig, workers: int) -> list[str]:
    """Return lines that name each training to do, with its cost.

    Minutes are of training alone, from a few steps of each shape on this machine as it is now.

    Args:
        trainings: the trainings to do, arms included.
        config: the settings of the proxies.
        workers: trainings at a time.
    """
    if not trainings:
        return ["nothing to train: every model is there"]
    lines = [f"{len(trainings)} trainings to do, {min(workers, len(trainings))} at a time:"]
    step = {one.shape: _seconds_of_step(one, config) for one in trainings}
    seconds = [
        step[one.shape] * -(-len(one.rows) // config.batch) * config.epochs for one in trainings
    ]
    for one, spent in zip(trainings, seconds, strict=True):
        tokens = one.rows[:, 1:].size * config.epochs
        lines.append(
            f"  {one.name:<20} {one.shape.parameters:>12,} parameters  {tokens:>13,} tokens"
            f"  {one.cost * config.epochs:.1e} FLOPs  {spent / 60:6.1f} min"
        )
    total = max(sum(seconds) / workers, max(seconds))
    flops = sum(one.cost for one in trainings) * config.epochs
    lines.append(f"  in all {flops:.1e} FLOPs, about {math.ceil(total / 60)} min of training")
    return lines


def _seconds_of_step(one: Training, config: ProxyConfig) -> float:
    """Return the seconds that a step of a shape takes, measured on a few."""
    rows, device = one.rows[: config.batch], chosen_device(config)
    _trial(one.shape, rows, config, device, 1)
    begun = time.perf_counter()
    _trial(one.shape, rows, config, device, TRIAL_STEPS)
    return (time.perf_counter() - begun) / TRIAL_STEPS


def _trial(shape: Shape, rows: Int64, config: ProxyConfig, device: str, steps: int) -> None:
    train(shape, rows, Schedule(steps, config.batch, config.rate, config.seed), device)
