"""The model that is forecast: its size without embeddings, its tokens, its epochs.

A size is a number of non-embedding parameters. One given in all is converted by a stated rule: a
model of `width` = 128 x layers, as most are, with 12 x layers x width^2 parameters in its blocks
(Kaplan et al. 2020, table 1) and two embedding tables of TABLE tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.sections import TargetConfig

TIMES_LARGEST = 8
MOST_TIMES = 10
ASPECT = 128
TABLE = 50_304


@dataclass(frozen=True)
class Target:
    """The model that is forecast.

    Attributes:
        parameters: non-embedding parameters.
        epochs: times it sees the corpus.
        tokens: trained on, in all.
        ratio: its size over the largest proxy's.
        assumed: what was not configured, and what was assumed for it.
    """

    parameters: int
    epochs: float
    tokens: int
    ratio: float
    assumed: str

    @property
    def extrapolated(self) -> bool:
        """Whether it is beyond what the proxies can speak of as a probability."""
        return self.ratio > MOST_TIMES


def target_of(config: TargetConfig, largest: int, corpus_tokens: int) -> Target:
    """Return the target; what is not configured is assumed.

    Args:
        config: the settings.
        largest: non-embedding parameters of the largest proxy.
        corpus_tokens: tokens of the whole corpus.
    """
    parameters = config.parameters or without_embeddings(config.total_parameters)
    tokens = config.tokens or round(corpus_tokens * config.epochs)
    return Target(
        parameters or TIMES_LARGEST * largest,
        config.epochs,
        tokens,
        (parameters or TIMES_LARGEST * largest) / largest,
        _assumptions(config, parameters),
    )


def _assumptions(config: TargetConfig, parameters: int) -> str:
    """Return in words what was not configured and what was assumed for it."""
    missing = [
        name for name, value in (("parameters", parameters), ("tokens", config.tokens)) if not value
    ]
    parts = []
    if missing:
        rule = f"{TIMES_LARGEST}x the largest proxy, this corpus"
        parts.append(f"assumed (no target.{', no target.'.join(missing)} given): {rule}")
    if parameters and not config.parameters:
        parts.append(
            f"target.total_parameters = {config.total_parameters:,} is {parameters:,} without "
            f"embeddings (width {ASPECT} x layers, two tables of {TABLE:,} tokens)"
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
    return round(12 * low**3 / ASPECT)
