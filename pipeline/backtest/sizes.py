"""The sizes of a back-test: smoke (a minute), miniature (two cores), full (one large GPU)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.config.sections import BacktestConfig
from pipeline.errors import ConfigError
from pipeline.score.proxy.model import HEAD_WIDTH, Shape

MOST_LAYERS = 24
MOST_WIDTH = 2_048
SLIMMEST, WIDEST = 24, 64  # width over number of layers, as in published models


@dataclass(frozen=True)
class Size:
    """One size of the back-test.

    Attributes:
        name: its name.
        ratios: size of each target over the largest proxy's; 1 is its twin of another order.
        seeds: targets of each of these, each with weights and an order of its own.
    """

    name: str
    ratios: tuple[float, ...]
    seeds: int


SIZES = {
    size.name: size
    for size in (
        Size("smoke", (2.0,), 1),
        Size("miniature", (5.0,), 2),
        Size("full", (1.0, 6.6), 1),
    )
}


def size_of(name: str, config: BacktestConfig) -> Size:
    """Return a size by its name, with what the settings change of it.

    Raises:
        ConfigError: When there is no such size.
    """
    if name not in SIZES:
        raise ConfigError(
            "There is no such size of the back-test.",
            where=f"--size {name}",
            expected=", ".join(SIZES),
            fix="name one of these",
        )
    size = SIZES[name]
    return replace(
        size,
        ratios=(config.target_ratio,) if config.target_ratio else size.ratios,
        seeds=config.seeds or size.seeds,
    )


def target_shape(vocabulary: int, largest: tuple[int, int], ratio: float) -> Shape:
    """Return the shape of the target.

    Args:
        vocabulary: tokens of the tokenizer.
        largest: layers and width of the largest proxy.
        ratio: how many times its parameters the target has, as nearly as a shape allows; 1: as it.
    """
    twin = Shape(vocabulary, *largest)
    if ratio == 1:
        return twin
    found = [
        Shape(vocabulary, layers, width)
        for layers in range(2, MOST_LAYERS + 1)
        for width in range(HEAD_WIDTH, MOST_WIDTH + 1, HEAD_WIDTH)
        if SLIMMEST <= width / layers <= WIDEST
    ]
    larger = [shape for shape in found if shape.parameters > twin.parameters]
    wanted = twin.parameters * ratio
    return min(larger, key=lambda shape: (abs(shape.parameters - wanted), shape.layers))
