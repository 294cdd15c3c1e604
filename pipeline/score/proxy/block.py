"""One block of the proxies' transformer, with a backward pass written by hand for small widths.

At widths of 32 to 128 most of a training step under Torch's own autograd is not arithmetic but
copies: rotary halves are cut and joined, gains multiplied, gradients of views padded and added.
Here gains are folded into the matrices behind them, rotary turns are one complex product, residuals
are added by the matrix product, and each gradient is written where it is needed. Measured on one
core: docs/performance.md. On a GPU, and in lower precision, `plain` is used: the same formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.autograd.function import once_differentiable

HEAD_WIDTH = 32
ROPE_BASE = 10_000.0
NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Turn:
    """Rotary turns of so many tokens (Su et al. 2021, eq. 15), as complex numbers of pairs.

    pairs: [tokens, width of a head / 2]; both: [tokens, 2, heads, width of a head / 2], those of
    queries scaled by 1/sqrt(width of a head); mask: [tokens, tokens], -inf above the diagonal.
    """

    pairs: Tensor
    both: Tensor
    mask: Tensor


def turns(tokens: int, heads: int, device: torch.device) -> Turn:
    """Return the turns of `tokens` positions for `heads` heads."""
    steps = torch.arange(0, HEAD_WIDTH, 2, dtype=torch.float32, device=device) / HEAD_WIDTH
    places = torch.arange(tokens, dtype=torch.float32, device=device)
    angles = torch.outer(places, ROPE_BASE**-steps)
    pairs = torch.complex(angles.cos(), angles.sin())
    both = torch.stack((pairs * HEAD_WIDTH**-0.5, pairs), dim=1)
    mask = torch.full((tokens, tokens), -torch.inf, device=device).triu(1)
    return Turn(pairs, both.unsqueeze(2).expand(-1, -1, heads, -1).contiguous(), mask)


@dataclass(frozen=True)
class Weights:
    """The weights of a block: two gains [width] and four matrices [out, in]."""

    norm_attention: Tensor
    qkv: Tensor
    out: Tensor
    norm_mlp: Tensor
    gate_up: Tensor
    down: Tensor


def plain(hidden: Tensor, turn: Turn, own: Weights) -> Tensor:
    """Return the new hidden states [rows, tokens, width] by Torch's own operations."""
    rows, tokens, width = hidden.shape
    mixed = functional.linear(_normed(hidden, own.norm_attention), own.qkv)
    parts = mixed.view(rows, tokens, 3, -1, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
    query, key = (_turned(part, turn.pairs) for part in parts[:2])
    attended = functional.scaled_dot_product_attention(query, key, parts[2], is_causal=True)
    joined = attended.transpose(1, 2).reshape(rows, tokens, width)
    hidden = hidden + functional.linear(joined, own.out)
    gate, up = functional.linear(_normed(hidden, own.norm_mlp), own.gate_up).chunk(2, dim=-1)
    return hidden + functional.linear(functional.silu(gate) * up, own.down)


def fused(hidden: Tensor, turn: Turn, own: Weights) -> Tensor:
    """Return what `plain` does, to rounding; float32 on a CPU."""
    weights = (own.norm_attention, own.qkv, own.out, own.norm_mlp, own.gate_up, own.down)
    if not torch.is_grad_enabled():
        return _attended_and_mixed(hidden, turn, weights)[0]
    return _Block.apply(hidden, turn, *weights)  # type: ignore[no-untyped-call, no-any-return]


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, turn: Turn, *weights: Tensor) -> Tensor:  # noqa: ANN401 - Torch's own
        """Return the new hidden states."""
        made, kept = _attended_and_mixed(hidden, turn, weights)
        ctx.turn = turn
        ctx.save_for_backward(*weights, *kept)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Return the gradients of hidden and of each weight."""
        saved = ctx.saved_tensors
        gain_a, qkv, out, gain_m, gate_up, down = saved[:6]
        attention, mlp = saved[6:11], saved[11:]
        above = above.reshape(-1, above.shape[-1])
        of_gates, of_down = _mlp_back(above, down, mlp[2:])
        above, of_gain_m, of_gate_up = _norm_back(above, of_gates, gate_up, gain_m, mlp[:2])
        of_mixed, of_out = _attention_back(above, out, ctx.turn, attention[2:])
        below, of_gain_a, of_qkv = _norm_back(above, of_mixed, qkv, gain_a, attention[:2])
        rows = attention[2].shape[1]
        shaped = below.view(rows, -1, below.shape[-1])
        return shaped, None, of_gain_a, of_qkv, of_out, of_gain_m, of_gate_up, of_down


def _attended_and_mixed(
    hidden: Tensor, turn: Turn, weights: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the new hidden states and what the way back needs: five of attention, five of MLP."""
    gain_a, qkv, out, gain_m, gate_up, down = weights
    rows, tokens, width = hidden.shape
    flat = hidden.reshape(-1, width)
    scaled, scale, mixed = _norm_linear(flat, gain_a, qkv)
    heads = _heads(mixed.view(rows, tokens, 3, -1, HEAD_WIDTH), turn)
    query, key, value = heads.flatten(1, 2)
    weighed = torch.softmax(torch.bmm(query, key.transpose(1, 2)).add_(turn.mask), dim=-1)
    attended = torch.bmm(weighed, value).view(rows, -1, tokens, HEAD_WIDTH)
    joined = attended.transpose(1, 2).reshape(-1, width)
    middle = torch.addmm(flat, joined, out.T)
    scaled_m, scale_m, gates = _norm_linear(middle, gain_m, gate_up)
    gate, up = gates.chunk(2, dim=-1)
    opened = functional.silu(gate)
    product = opened * up
    made = torch.addmm(middle, product, down.T).view(rows, tokens, width)
    kept = (scaled, scale, heads, weighed, joined, scaled_m, scale_m, gates, opened, product)
    return made, kept


def _norm_linear(flat: Tensor, gain: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x / rms(x), 1 / rms(x) [n, 1], and the product of the first with gain and matrix."""
    length = torch.linalg.vector_norm(flat, dim=-1, keepdim=True)
    scale = length.square_().div_(flat.shape[-1]).add_(NORM_EPSILON).rsqrt_()
    scaled = flat * scale
    return scaled, scale, torch.mm(scaled, (matrix * gain).T)


def _heads(mixed: Tensor, turn: Turn) -> Tensor:
    """Return queries and keys, turned, and values: [3, rows, heads, tokens, width of a head]."""
    rows, tokens, _, heads, width = mixed.shape
    made = mixed.new_empty(3, rows, heads, tokens, width)
    pairs = _paired(mixed[:, :, :2])
    into = _paired(made[:2])
    torch.mul(pairs, turn.both, out=into.permute(1, 3, 0, 2, 4))
    made[2].copy_(mixed[:, :, 2].transpose(1, 2))
    return made


def _mlp_back(above: Tensor, down: Tensor, kept: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Return the gradients of the gates [n, 2 x hidden] and of `down`."""
    gates, opened, product = kept
    gate, up = gates.chunk(2, dim=-1)
    of_product = torch.mm(above, down)
    of_gates = torch.empty_like(gates)
    of_gate, of_up = of_gates.chunk(2, dim=-1)
    torch.mul(of_product, opened, out=of_up)
    torch.ops.aten.silu_backward.grad_input(of_product.mul_(up), gate, grad_input=of_gate)
    return of_gates, torch.mm(above.T, product)


def _norm_back(
    above: Tensor, of_made: Tensor, matrix: Tensor, gain: Tensor, kept: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradient below a norm and its matrix, the residual's added; of gain; of matrix."""
    scaled, scale = kept
    of_folded = torch.mm(of_made.T, scaled)
    of_scaled = torch.mm(of_made, matrix * gain)
    along = (of_scaled * scaled).sum(-1, keepdim=True).div_(-scaled.shape[-1])
    below = torch.addcmul(above, of_scaled.addcmul_(scaled, along), scale)
    return below, (of_folded * matrix).sum(0), of_folded.mul_(gain)


def _attention_back(
    above: Tensor, out: Tensor, turn: Turn, kept: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the mixed projections [n, 3 x width] and of `out`."""
    heads, weighed, joined = kept
    _, rows, count, tokens, width = heads.shape
    of_joined = torch.mm(above, out).view(rows, tokens, count, width)
    of_attended = of_joined.transpose(1, 2).reshape(-1, tokens, width)
    query, key, value = heads.flatten(1, 2)
    of_weighed = torch.bmm(of_attended, value.transpose(1, 2))
    of_scores = torch._softmax_backward_data(of_weighed, weighed, -1, weighed.dtype)
    of_heads = torch.empty_like(heads)
    of_query, of_key, of_value = of_heads.flatten(1, 2)
    torch.bmm(of_scores, key, out=of_query)
    torch.bmm(of_scores.transpose(1, 2), query, out=of_key)
    torch.bmm(weighed.transpose(1, 2), of_attended, out=of_value)
    of_mixed = above.new_empty(rows, tokens, 3, count, width)
    pairs = _paired(of_heads[:2])
    into = _paired(of_mixed[:, :, :2])
    torch.mul(pairs.permute(1, 3, 0, 2, 4), turn.both.conj(), out=into)
    of_mixed[:, :, 2].copy_(of_heads[2].transpose(1, 2))
    return of_mixed.view(rows * tokens, -1), torch.mm(above.T, joined)


def _normed(hidden: Tensor, weight: Tensor) -> Tensor:
    return functional.rms_norm(hidden, (hidden.shape[-1],), weight, NORM_EPSILON)


def _turned(vectors: Tensor, pairs: Tensor) -> Tensor:
    turned = _paired(vectors.float()) * pairs
    return torch.view_as_real(turned).flatten(-2).to(vectors.dtype)


def _paired(vectors: Tensor) -> Tensor:
    """Return neighbouring numbers as complex ones, in place."""
    return torch.view_as_complex(vectors.view(*vectors.shape[:-1], -1, 2))
