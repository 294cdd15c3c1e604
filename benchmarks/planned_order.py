"""What a planned order does to recall: texts of one dose, seen in different parts of an epoch.

    python benchmarks/planned_order.py [--seeds 3]

A small model learns 2,000 rows of a simple language in order, once. Among them stand texts of 24
copies each, spread over a part of the epoch. Printed: the part, what is recited at the end, and the
chance that log p of such a text is above that of one never seen.
"""

from __future__ import annotations

import argparse

import numpy as np

from pipeline.backtest.training.going_on import going_on
from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule

TOKENS, ROWS, COPIES, EACH, NEVER = 256, 2_000, 24, 6, 20
PARTS = ((0.0, 0.5), (0.2, 0.7), (0.4, 0.9), (0.5, 1.0), (0.0, 1.0), (0.45, 0.55), (0.9, 1.0))


def language(draw: np.random.Generator, rows: int) -> np.ndarray:
    """Return rows of EOS and 64 tokens, each one of four that may follow the one before."""
    follows = draw.integers(1, TOKENS, (TOKENS, 4))
    found = np.zeros((rows, 65), np.int64)
    found[:, 1] = draw.integers(1, TOKENS, rows)
    for place in range(2, 65):
        which = np.searchsorted((0.5, 0.75, 0.9, 1.0), draw.random(rows))
        found[:, place] = follows[found[:, place - 1], which]
    return found


def measure(seed: int) -> list[tuple[float, float]]:
    """Return share recited and recognition of the texts of each part, by one training."""
    draw = np.random.default_rng(seed)
    rows, places = [language(draw, ROWS)], [np.arange(ROWS) / ROWS]
    texts = draw.integers(1, TOKENS, (EACH * len(PARTS) + NEVER, 65))
    texts[:, 0] = 0
    for number, (first, last) in enumerate(PARTS):
        for text in texts[number * EACH : (number + 1) * EACH]:
            rows.append(np.repeat(text[None], COPIES, axis=0))
            places.append(first + (last - first) * draw.random(COPIES))
    joined = np.concatenate(rows)[np.argsort(np.concatenate(places), kind="stable")]
    steps = len(joined) // 8
    [found] = going_on(
        Transformer(Shape(TOKENS, 2, 64), seed),
        joined,
        Schedule(1, 8, 0.003, seed),
        (steps,),
        lambda model: ProxyScorer(model).score(texts),
    )
    memorized, log_p = found["memorized"], found["log_p_z"]
    never = log_p[EACH * len(PARTS) :]
    parts = [slice(number * EACH, (number + 1) * EACH) for number in range(len(PARTS))]
    return [
        (float(memorized[own].mean()), float((log_p[own][:, None] > never[None]).mean()))
        for own in parts
    ]


def main() -> None:
    """Print a line for each part."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seeds", type=int, default=3)
    seeds = range(1, 1 + asked.parse_args().seeds)
    with torch_threads(1):
        found = np.mean([measure(seed) for seed in seeds], axis=0)
    print("part of the epoch  last exposure  recited  recognition")
    for (first, last), (recited, known) in zip(PARTS, found, strict=True):
        print(f"{first:8.2f} to {last:4.2f}  {1 - last:13.2f}  {recited:7.2f}  {known:11.2f}")


if __name__ == "__main__":
    main()
