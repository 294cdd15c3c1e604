"""The proxies of a run: three or more sizes trained on the whole sample, and a cross-fit pair on its halves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config import ProxyConfig
from pipeline.proxy.model import Shape, Transformer
from pipeline.proxy.train import Schedule, train

HALVES = ("half-a", "half-b")


@dataclass(frozen=True)
class Proxy:
    """A trained proxy. halves: numbers of the halves of the families that it saw, `epochs` times. role: ladder |
    early (a ladder proxy after its first epoch) | half."""

    name: str
    role: str
    model: Transformer
    halves: tuple[int, ...]
    epochs: int
    tokens: int
    loss: float
    device: str

    @property
    def parameters(self) -> int:
        """Return the non-embedding parameters."""
        return self.model.shape.parameters


def train_all(
    rows: NDArray[np.int64],
    half: NDArray[np.int64],
    vocabulary: int,
    config: ProxyConfig,
    advance: Callable[[float, float, str], None],
) -> Iterator[Proxy]:
    """Yield the proxies trained on `rows` [n, 65], smallest first, then the pair; half: 0 or 1 per row.

    The order of the rows and the schedule are the same for every size, so size is all that differs between them. A
    half without rows yields no proxy.
    """
    device = chosen_device(config)
    middle = config.shapes[len(config.shapes) // 2]
    jobs = [(f"p{number}", shape, (0, 1)) for number, shape in enumerate(config.shapes)]
    jobs += [(name, middle, (number,)) for number, name in enumerate(HALVES)]
    schedule = Schedule(config.epochs, config.batch, config.rate, config.seed)
    for place, (name, (layers, width), halves) in enumerate(jobs):
        own = rows[np.isin(half, halves)]
        if not len(own):
            continue
        hear = _hearing(advance, place, len(jobs), name)
        done = train(Shape(vocabulary, layers, width), own, schedule, device, hear)
        tokens = own[:, 1:].size
        role = "ladder" if len(halves) == 2 else "half"
        yield Proxy(
            name, role, done.model, halves, config.epochs, tokens * config.epochs, done.loss, device
        )
        if role == "ladder" and done.early is not None:
            yield Proxy(f"{name}-early", "early", done.early, halves, 1, tokens, math.nan, device)


def chosen_device(config: ProxyConfig) -> str:
    """Return `cpu` or `cuda`."""
    if config.device != "auto":
        return config.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _hearing(
    advance: Callable[[float, float, str], None], place: int, jobs: int, name: str
) -> Callable[[int, int], None]:
    return lambda done, total: advance(place + done / total, jobs, f"training {name}")
