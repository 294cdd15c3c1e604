"""One block of the proxies' transformer: causal attention with rotary turns, then a gated MLP.

The formulas are those of `LlamaForCausalLM`: RMS norms before each part
(Zhang and Sennrich 2019, eq. 4), rotary positions (Su et al. 2021, eq. 15) and SwiGLU (Shazeer
2020, eq. 6), without biases. A rotary pair is two neighbouring numbers here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

HEAD_WIDTH = 32
ROPE_BASE = 10_000.0
NORM_EPSILON = 1e-5


class Block(nn.Module):
    """Pre-norm attention and a gated MLP, each added to the hidden states.

    Attributes:
        norm_attention: gain of the norm before attention, (width,).
        norm_mlp: gain of the norm before the MLP, (width,).
        qkv: projection to queries, keys and values, weight (3 * width, width).
        out: projection behind attention, weight (width, width).
        gate_up: projection to the gates and the values of the MLP, weight (2 * inner, width).
        down: projection back to the width, weight (width, inner).
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm_attention = nn.Parameter(torch.ones(width))
        self.norm_mlp = nn.Parameter(torch.ones(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, hidden: Tensor, turns: Tensor) -> Tensor:
        """Return the new hidden states.

        Args:
            hidden: (rows, tokens, width).
            turns: what `rotary_turns` returns for as many tokens.
        """
        rows, tokens, width = hidden.shape
        projected = self.qkv(rms_norm(hidden, self.norm_attention))  # (rows, tokens, 3 * width)
        heads = projected.view(rows, tokens, 3, -1, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        query, key = (_turned(part, turns) for part in heads[:2])  # (rows, heads, tokens, 32)
        attended = functional.scaled_dot_product_attention(query, key, heads[2], is_causal=True)
        joined = attended.transpose(1, 2).reshape(rows, tokens, width)
        hidden = hidden + self.out(joined)
        gate, up = self.gate_up(rms_norm(hidden, self.norm_mlp)).chunk(2, dim=-1)
        mixed: Tensor = hidden + self.down(functional.silu(gate) * up)
        return mixed


def rotary_turns(tokens: int, device: torch.device) -> Tensor:
    """Return the turn of each rotary pair at each position, as complex numbers (tokens, 16)."""
    steps = torch.arange(0, HEAD_WIDTH, 2, dtype=torch.float32, device=device) / HEAD_WIDTH
    positions = torch.arange(tokens, dtype=torch.float32, device=device)
    angles = torch.outer(positions, ROPE_BASE**-steps)
    return torch.complex(angles.cos(), angles.sin())


def rms_norm(hidden: Tensor, gain: Tensor) -> Tensor:
    """Return hidden states (..., width) over their root mean square, times the gain (width,)."""
    return functional.rms_norm(hidden, (hidden.shape[-1],), gain, NORM_EPSILON)


def _turned(vectors: Tensor, turns: Tensor) -> Tensor:
    """Return queries or keys (rows, heads, tokens, 32), each pair turned by its position."""
    pairs = torch.view_as_complex(vectors.float().view(*vectors.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2).to(vectors.dtype)
