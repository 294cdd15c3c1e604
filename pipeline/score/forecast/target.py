"""The model that is forecast: its size without embeddings, its tokens, its epochs.

A size is a number of non-embedding parameters. One given in all is converted by a stated rule: a
model of `width` = 128 x layers, as most are, with 12 x layers x width^2 parameters in its blocks
(Kaplan et al. 2020, table 1) and two embedding tables of TABLE tokens. Tokens that are not given
are 20 for each parameter (Hoffmann et al. 2022, table 3).
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.sections import LEAST_IN_ALL, TargetConfig
from pipeline.score.forecast.scaling import BEYOND, Model

ASPECT = 128
TABLE = 50_304
TOKENS_PER_PARAMETER = 20
ASSUMED = 1_000_000_000  # parameters in all, where no target is named
TARGETS = (100_000_000, 1_000_000_000, 8_000_000_000, 70_000_000_000)  # of the table, in all


@dataclass(frozen=True)
class Target:
    """The model that is forecast.

    Attributes:
        parameters: non-embedding parameters.
        epochs: times it sees the corpus.
        tokens: trained on, in all.
        ratio: its size over the largest proxy's.
        tokens_ratio: its tokens over those of the largest proxy.
        assumed: what was not configured, and what was assumed for it.
    """

    parameters: int
    epochs: float
    tokens: int
    ratio: float
    tokens_ratio: float
    assumed: str

    @property
    def extrapolated(self) -> bool:
        """Whether it is beyond what the proxies can speak of as a probability."""
        return max(self.ratio, self.tokens_ratio) > BEYOND

    @property
    def model(self) -> Model:
        """Size and tokens, as the law takes them."""
        return Model(float(self.parameters), float(self.tokens))


def target_of(config: TargetConfig, top: Model) -> Target:
    """Return the target; what is not configured is assumed.

    Args:
        config: the settings.
        top: the largest proxy.
    """
    total = config.total_parameters or (0 if config.parameters else _total_of(config.tokens))
    parameters = config.parameters or without_embeddings(total)
    tokens = config.tokens or TOKENS_PER_PARAMETER * (total or parameters)
    return Target(
        parameters,
        config.epochs,
        tokens,
        parameters / top.parameters,
        tokens / top.tokens,
        _assumptions(config, parameters, total, tokens),
    )


def _total_of(tokens: int) -> int:
    """Return the parameters of a model of which only the tokens are known, or nothing."""
    return max(LEAST_IN_ALL, tokens // TOKENS_PER_PARAMETER) if tokens else ASSUMED


def _assumptions(config: TargetConfig, parameters: int, total: int, tokens: int) -> str:
    """Return in words what was not configured and what was assumed for it."""
    parts = []
    if not (config.parameters or config.total_parameters):
        parts.append(f"assumed: {total:,} parameters in all (no target was named)")
    if not config.tokens:
        parts.append(f"assumed: {tokens:,} tokens, {TOKENS_PER_PARAMETER} a parameter")
    if not config.parameters:
        parts.append(
            f"{total:,} parameters in all are {parameters:,} without embeddings "
            f"(width {ASPECT} x layers, two tables of {TABLE:,} tokens)"
        )
    return "; ".join(parts) or "as configured"


def without_embeddings(total: int) -> int:
    """Return the non-embedding parameters of a model of `total` parameters, by the rule above.

    Solves 12 width^3 / 128 + 2 x 50,304 width = total for the width.
    """
    low, high = 0.0, 1e6
    for _ in range(80):
        width = (low + high) / 2
        if 12 * width**3 / ASPECT + 2 * TABLE * width < total:
            low = width
        else:
            high = width
    return max(1, round(12 * low**3 / ASPECT))
