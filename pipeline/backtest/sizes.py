"""The sizes of a back-test: smoke (a minute), miniature (two cores), full (one large GPU)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.config.sections import BacktestConfig, ProxyConfig
from pipeline.errors import ConfigError
from pipeline.score.proxy.model import HEAD_WIDTH, Shape

Shapes = tuple[tuple[int, int], ...]
MOST_LAYERS = 24
MOST_WIDTH = 2_048
SLIMMEST, WIDEST = 24, 64  # width over number of layers, as in published models


@dataclass(frozen=True)
class Size:
    """One size of the back-test.

    Attributes:
        name: its name.
        shapes: layers and width of each proxy; empty for those of the run.
        vocabulary: tokens of the tokenizer; 0 for the run's setting.
        epochs: times a model sees each row; 0 for the run's setting.
        batch: rows of a batch; 0 for the run's setting.
        rows: training rows of natural text.
        doses: copies of exact canaries.
        clusters: canaries drawn for each dose; about half of them get in.
        shares: shares of the words that are replaced in fuzzy families.
        fuzzy: fuzzy families drawn for each share.
        copies: copies in a fuzzy family.
        frames: frames of templates.
        instances: clusters of each frame.
        references: canaries that never get in, among which exposure ranks the others.
    """

    name: str
    shapes: Shapes
    vocabulary: int
    epochs: int
    batch: int
    rows: int
    doses: tuple[int, ...]
    clusters: int
    shares: tuple[float, ...]
    fuzzy: int
    copies: int
    frames: int
    instances: int
    references: int

    def proxy(self, config: ProxyConfig) -> ProxyConfig:
        """Return the settings of the run's proxies as this size changes them."""
        return config.model_copy(
            update={
                "shapes": self.shapes or config.shapes,
                "vocabulary": self.vocabulary or config.vocabulary,
                "epochs": self.epochs or config.epochs,
                "batch": self.batch or config.batch,
            }
        )


SHARES = (0.05, 0.10, 0.25, 0.50)
SIZES = {
    size.name: size
    for size in (
        Size(
            "smoke", ((1, 32), (1, 64), (2, 64)), 512, 5, 8, 300,
            (1, 4, 16), 16, (0.05, 0.25), 8, 16, 6, 8, 64,
        ),
        Size(
            "miniature", (), 0, 4, 0, 3_000,
            (1, 2, 4, 8, 16, 32, 64), 24, SHARES, 14, 32, 16, 12, 255,
        ),
        Size(
            "full", ((4, 96), (4, 192), (6, 384)), 16_384, 1, 256, 2_500_000,
            (1, 2, 4, 8, 16, 32, 64, 128), 1_000, SHARES, 1_000, 32, 256, 64, 1_023,
        ),
    )
}  # fmt: skip


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
        rows=config.rows or size.rows,
        clusters=config.clusters or size.clusters,
        epochs=config.epochs or size.epochs,
    )


def target_shape(vocabulary: int, largest: tuple[int, int], ratio: float) -> Shape:
    """Return the shape of the target.

    Args:
        vocabulary: tokens of the tokenizer.
        largest: layers and width of the largest proxy.
        ratio: how many times its parameters the target has, as nearly as a shape allows.
    """
    wanted = Shape(vocabulary, *largest).parameters * ratio
    found = [
        Shape(vocabulary, layers, width)
        for layers in range(2, MOST_LAYERS + 1)
        for width in range(HEAD_WIDTH, MOST_WIDTH + 1, HEAD_WIDTH)
        if SLIMMEST <= width / layers <= WIDEST
    ]
    return min(found, key=lambda shape: (abs(shape.parameters - wanted), shape.layers))
