"""The cost of probes, said before they begin: forward passes of one sequence, and seconds here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.config.sections import Config
from pipeline.score.slices import SEQUENCE, STRIDE, SUFFIX

if TYPE_CHECKING:
    from pipeline.score.probes.panel import ProbedModel

HALVES = 2
BACKWARD = 2  # a backward pass counts as two forward ones
LENGTHS_TRIED = 8
SEARCH_BATCH = 32
SIZES_TRIED = 16  # sets of neurons
STEPS, ROWS, BOUNDS = 120, 16, (0.5, 1.0, 2.0)  # of a soft prompt: steps, rows of each, nats
DRAWS = 3  # of as many neurons at random
TABLES, ROWS_AND_CUTS = 50, 29
TIMED_ROWS = 64  # of a batch


def passes(config: Config, proxies: int | None = None) -> dict[str, int]:
    """Return for each signal that was asked for the forward passes that it takes, at most.

    A pass is of one sequence of up to 64 tokens by the largest proxy; a step of generation is one.

    Args:
        config: the settings.
        proxies: how many are probed; None for as many as the settings make.
    """
    probes, panel = config.probes, config.probes.panel
    if proxies is None:
        every = len(config.proxy.models) or len(config.proxy.shapes) + HALVES
        proxies = 1 if probes.models == "largest" else every
    searched, removed = min(panel, probes.acr_panel), min(panel, probes.neurons_panel)
    trained = STEPS * ROWS * (1 + BACKWARD) + panel
    smallest, *_, largest = (layers * width * width for layers, width in config.proxy.shapes)
    rows = config.proxy.sample_tokens // STRIDE * config.proxy.epochs // 2 * (1 + BACKWARD) + panel
    each = {
        "extraction": 5 * panel,
        "exposure": panel,
        "prior": 2 * panel,
        "approximate": SUFFIX * panel,
        "limem": 5 * panel,
        "offsets": 6 * panel,
        "gradients": (1 + BACKWARD) * panel,
        "cdd": SUFFIX * (1 + probes.samples) * panel,
        "acr": searched * LENGTHS_TRIED * probes.acr_steps * (SEARCH_BATCH + 1 + BACKWARD),
        "neurons": panel + removed * (SIZES_TRIED + (1 + DRAWS) * panel),
        "soft_defence": 2 * panel + len(BOUNDS) * trained,
        "soft_attack": 2 * panel + trained,
        "tabular": TABLES * ROWS_AND_CUTS * SUFFIX,
        "counterfactual": -(-probes.subsets * rows * smallest // largest),
    }
    once = {"counterfactual"}
    of_loaded = bool(config.proxy.models) and config.proxy.trained_on == "unknown"
    left_out = {"counterfactual"} if of_loaded else {"soft_attack"}
    return {
        name: each[name] * (1 if name in once else proxies)
        for name in probes.signals
        if name not in left_out
    }


def lines(config: Config, proxies: int | None = None, pass_s: float | None = None) -> list[str]:
    """Return what to say of the costs; nothing without a signal.

    Args:
        config: the settings.
        proxies: how many are probed; None for as many as the settings make.
        pass_s: seconds of one pass; None where that is not known.
    """
    found = passes(config, proxies)
    if not found:
        return []

    def said(count: int) -> str:
        seconds = "" if pass_s is None else f", about {count * pass_s:,.0f} s"
        return f"{count:,} passes{seconds}"

    parts = [f"{name} {said(count)}" for name, count in found.items()]
    return [f"probes, at most: {'; '.join(parts)}; in all {said(sum(found.values()))}"]


def pass_seconds(subject: ProbedModel) -> float:
    """Return the seconds of one pass here: the fastest of three batches; it enters no table."""
    import torch

    tokens = torch.zeros(TIMED_ROWS, SEQUENCE, dtype=torch.int64, device=subject.device)
    spent = []
    for _ in range(3):
        begun = time.perf_counter()
        with torch.inference_mode():
            logits = subject.model.head(subject.model.hidden(tokens)[:, -SUFFIX:])
            float(logits.sum())  # waits for the device
        spent.append(time.perf_counter() - begun)
    return min(spent) / TIMED_ROWS
