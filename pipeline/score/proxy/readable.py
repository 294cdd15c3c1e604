"""What expensive measures need of a model besides scores: its embeddings, blocks and neurons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from torch import Tensor, nn

from pipeline.score.proxy.statistics import Scorable


class Readable(Scorable, Protocol):
    """A model whose inside can be asked, one trained here or a loaded one.

    Attributes:
        parts: its blocks, lowest first.
        neurons: of each block the projection behind its MLP's neurons, whose input they are; none
            of a block in which it is not found.
    """

    @property
    def parts(self) -> Sequence[nn.Module]: ...  # noqa: D102 - the class says it

    @property
    def neurons(self) -> Sequence[nn.Module]: ...  # noqa: D102

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all weights."""

    def embed(self, tokens: Tensor) -> Tensor:
        """Return what tokens are read as, (..., width)."""

    def hidden_of(self, vectors: Tensor) -> Tensor:
        """Return the last hidden states (rows, places, width) of what is read there."""
