"""What proxies cost in time, told before they are trained: a few steps of each size, here and now.

Training and scoring are told together, since a user waits for both. Plans and trials are those of
the machine as it is at that moment: what others do on it later is not known.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.score.proxy.ensemble import chosen_device, cores_for, proxy_plans
from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.precision import precision_of
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule, train
from pipeline.score.slices import ROW_TOKENS, SEQUENCE

if TYPE_CHECKING:
    from pipeline.config.sections import ProxyConfig

TRIAL_STEPS = 3
SHORT_S = 10.0  # a training that no minute is told of, however wrong a first step is
TRIAL_ROWS = 64  # scored
FITTED = 8.0  # seconds of the two laws and the curves, about the same for every panel
PLANTED = 0.22  # tokens of plants over `proxy.sample_tokens`
LEAST_SAMPLE = 87_500  # tokens whose plants are the fewest
TEXT_SHARE = 0.75  # of a small corpus, that is neither held out nor planted
BYTES_PER_TOKEN = 4.0


def seconds_of_proxies(
    rows: NDArray[np.int64],
    half: NDArray[np.int64],
    vocabulary: int,
    config: ProxyConfig,
    workers: int,
    scored: int,
) -> float:
    """Return about how long it takes to train the proxies and to score with them.

    Args:
        rows: as for `train_all`, (rows, 65).
        half: likewise, (rows,).
        vocabulary: number of tokens.
        config: the shapes and the schedule.
        workers: trainings at a time.
        scored: sequences that each is asked for.
    """
    tried, spent = dict[Shape, tuple[float, float]](), []
    for plan in proxy_plans(rows, half, vocabulary, config):
        steps = -(-len(plan.rows) // config.batch) * config.epochs
        if plan.shape not in tried:
            tried[plan.shape] = _trial(plan.shape, rows[: config.batch], steps, config)
        step, ask = tried[plan.shape]
        spent.append(step * steps + ask * scored)
    return max([sum(spent) / workers, *spent, 0.0])


def expected_seconds(text_bytes: int, config: ProxyConfig, most: int, cores: int) -> float:
    """Return about how long a score with trained proxies takes, before any text is read.

    Args:
        text_bytes: of the corpus.
        config: the shapes and the schedule.
        most: sequences to score at most.
        cores: that it may use.
    """
    corpus = TEXT_SHARE * text_bytes / BYTES_PER_TOKEN
    plants = min(PLANTED * max(config.sample_tokens, LEAST_SAMPLE), corpus)
    count = int((min(config.sample_tokens, corpus) + plants) / SEQUENCE)
    chance = np.random.Generator(np.random.PCG64(config.seed))
    rows = np.broadcast_to(chance.integers(config.vocabulary, size=ROW_TOKENS), (count, ROW_TOKENS))
    half = np.arange(count) % 2
    scored = min(most, int(text_bytes / BYTES_PER_TOKEN / SEQUENCE))
    workers = max(1, cores_for(config, cores) // config.threads)
    with torch_threads(config.threads):
        seconds = seconds_of_proxies(rows, half, config.vocabulary, config, workers, scored)
    return seconds + FITTED


def _trial(
    shape: Shape, rows: NDArray[np.int64], steps: int, config: ProxyConfig
) -> tuple[float, float]:
    """Return the seconds of a step of a shape, and those of a sequence that it is asked for.

    The first step of a process is much longer than others; it is enough where all are short by it.
    """
    device = chosen_device(config)

    def trained(epochs: int) -> float:
        begun = time.perf_counter()
        train(shape, rows, Schedule(epochs, config.batch, config.rate, config.seed), device)
        return (time.perf_counter() - begun) / epochs

    step = trained(1)
    if step * steps > SHORT_S:
        step = trained(TRIAL_STEPS)
    scorer = ProxyScorer(
        Transformer(shape, config.seed).to(device).eval(), device, precision=precision_of(device)
    )
    asked = np.resize(rows, (TRIAL_ROWS, ROW_TOKENS))
    begun = time.perf_counter()
    scorer.score(asked)
    return step, (time.perf_counter() - begun) / TRIAL_ROWS
