"""A small model with memory sinks: neurons that only some sequences may use while training.

After Ghosal et al. 2025 (MemSinks): besides its ordinary neurons each gated MLP has sink neurons; a
sequence is given a few of them by a hash of its family, so that what is told again and again can be
kept there, and all of them are dropped afterwards. Their code was not at hand; this is the idea at
the smallest size, not a reproduction.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.score.proxy.model import Shape, Transformer
from pipeline.text.hashing import keyed_hash

SHARE = 0.5  # sink neurons for each ordinary neuron
ACTIVE = 0.25  # share of the sink neurons that a sequence has


class SinkBlock(nn.Module):
    """Sink neurons beside a block's MLP."""

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.neurons = max(8, round(shape.hidden * SHARE))
        self.gate_up = nn.Linear(shape.width, 2 * self.neurons, bias=False)
        self.down = nn.Linear(self.neurons, shape.width, bias=False)
        with torch.no_grad():
            self.gate_up.weight.normal_(0.0, shape.width**-0.5, generator=generator)
            scale = (self.neurons * 2 * shape.layers) ** -0.5
            self.down.weight.normal_(0.0, scale, generator=generator)

    def forward(self, hidden: Tensor, gates: Tensor) -> Tensor:
        """Return what the sinks add; gates: [rows, neurons], 1 for those of the row."""
        gate, up = self.gate_up(hidden).chunk(2, dim=-1)
        deeper: Tensor = self.down(functional.silu(gate) * up * gates.unsqueeze(1))
        return deeper


class SinkTransformer(Transformer):
    """A Transformer whose blocks have sinks; `choose` says whose sinks the next batch uses."""

    def __init__(self, shape: Shape, seed: int) -> None:
        super().__init__(shape, seed)
        generator = torch.Generator().manual_seed(seed + 1)
        self.sinks = nn.ModuleList(SinkBlock(shape, generator) for _ in range(shape.layers))
        self._gates: Tensor | None = None
        for number, block in enumerate(self.parts):
            block.register_forward_hook(
                lambda _, given, output, number=number: self._add(number, given[0], output)
            )

    def choose(self, sinks: Tensor) -> None:
        """Set the sinks of the rows of the next batch; sinks: a number for each."""
        block = self.sinks[0]
        neurons = block.neurons if isinstance(block, SinkBlock) else 0
        gates = gates_of(sinks.cpu().numpy(), neurons)
        self._gates = torch.from_numpy(gates).to(self.embedding.device)

    def without_sinks(self) -> Transformer:
        """Return a plain model of the ordinary neurons."""
        plain = Transformer(self.shape, seed=0)
        own = {name: value for name, value in self.state_dict().items() if "sinks." not in name}
        plain.load_state_dict(copy.deepcopy(own))
        return plain.to(self.embedding.device)

    def _add(self, number: int, given: Tensor, output: Tensor) -> Tensor:
        if self._gates is None:
            return output
        normed = functional.rms_norm(given, (given.shape[-1],))
        added: Tensor = self.sinks[number](normed, self._gates)
        return output + added


def gates_of(sinks: NDArray[np.int64], neurons: int) -> NDArray[np.float32]:
    """Return [rows, neurons] of 0 and 1: the sink neurons of each row, by a hash of its sink."""
    place = np.arange(neurons, dtype=np.uint64)
    keys = keyed_hash(sinks.astype(np.uint64)[:, None] * np.uint64(1 << 20) + place, 5)
    return np.asarray((keys >> np.uint64(11)) < np.uint64(ACTIVE * 2**53), np.float32)
