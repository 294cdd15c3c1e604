"""A small model with memory sinks: neurons that only some sequences may use in training.

After Ghosal et al. 2025 (MemSinks): besides its ordinary neurons each gated MLP has sink neurons. A
sequence may use a few of them, chosen by a hash of its text's `sink_id`, so that repeated text can
be stored there; all of them are dropped after training. A sink that many texts share learns what
all text needs, and dropping it takes that away: one a family wrecks the model (docs/LOG.md). Their
code was not available: this is the idea at the smallest size, not a reproduction.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.score.proxy.model import Shape, Transformer
from pipeline.text.arrays import Uint64
from pipeline.text.hashing import keyed_hash

SHARE = 0.5  # sink neurons per ordinary neuron
ACTIVE = 0.25  # share of the sink neurons that a sequence uses
_IDS, _NEURONS = 5, 6  # seeds of the hash


class SinkBlock(nn.Module):
    """The sink neurons beside the MLP of one block.

    Attributes:
        neurons: how many there are.
        gate_up: projection to their gates and values, weight (2 * neurons, width).
        down: projection back to the width, weight (width, neurons).
    """

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
        """Return what the sinks add to the hidden states, (rows, tokens, width).

        Args:
            hidden: the normed hidden states, (rows, tokens, width).
            gates: 1 for the neurons that a row may use, else 0, (rows, neurons).
        """
        gate, up = self.gate_up(hidden).chunk(2, dim=-1)  # (rows, tokens, neurons) each
        added: Tensor = self.down(functional.silu(gate) * up * gates.unsqueeze(1))
        return added


class SinkTransformer(Transformer):
    """A Transformer whose blocks have sinks; `choose` sets those that the next batch uses.

    Attributes:
        sinks: the sinks of each block.
    """

    def __init__(self, shape: Shape, seed: int) -> None:
        super().__init__(shape, seed)
        generator = torch.Generator().manual_seed(seed + 1)
        self.sinks = nn.ModuleList(SinkBlock(shape, generator) for _ in range(shape.layers))
        self._gates: Tensor | None = None
        for number, block in enumerate(self.parts):
            block.register_forward_hook(
                lambda _, given, output, number=number: self._add(number, given[0], output)
            )

    def choose(self, sinks: Uint64) -> None:
        """Set the sinks of the next batch by the `sink_id` of each of its rows, (rows,)."""
        block = self.sinks[0]
        neurons = block.neurons if isinstance(block, SinkBlock) else 0
        gates = gates_of(sinks, neurons)
        self._gates = torch.from_numpy(gates).to(self.embedding.device)

    def without_sinks(self) -> Transformer:
        """Return a plain model of the ordinary neurons alone."""
        plain = Transformer(self.shape, seed=0)
        ordinary = {
            name: value for name, value in self.state_dict().items() if "sinks." not in name
        }
        plain.load_state_dict(copy.deepcopy(ordinary))
        return plain.to(self.embedding.device)

    def _add(self, number: int, given: Tensor, output: Tensor) -> Tensor:
        if self._gates is None:
            return output
        normed = functional.rms_norm(given, (given.shape[-1],))
        added: Tensor = self.sinks[number](normed, self._gates)
        return output + added


def gates_of(sinks: Uint64, neurons: int) -> NDArray[np.float32]:
    """Return 1 for the sink neurons that each row may use, else 0, (rows, neurons).

    They are chosen by a hash of the row's sink id, all 64 bits of it, and the neuron.
    """
    place = np.arange(neurons, dtype=np.uint64)
    keys = keyed_hash(keyed_hash(sinks, _IDS)[:, None] ^ place, _NEURONS)
    return np.asarray((keys >> np.uint64(11)) < np.uint64(ACTIVE * 2**53), np.float32)
