"""A plain decoder-only transformer, stored in the Llama format of transformers.

It is a module of its own because a sequence is 64 tokens long and widths are small: the overhead of
calls is most of the time. The weights and `config.json` are those of `LlamaForCausalLM`, so that
`AutoModelForCausalLM.from_pretrained(folder)` loads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from safetensors.torch import load, save
from torch import Tensor, nn

from pipeline.score.proxy.block import HEAD_WIDTH as HEAD_WIDTH
from pipeline.score.proxy.block import NORM_EPSILON, ROPE_BASE, Block, rms_norm, rotary_turns

CONTEXT = 128


@dataclass(frozen=True)
class Shape:
    """The size of a proxy.

    Attributes:
        vocabulary: number of tokens.
        layers: number of blocks.
        width: length of a hidden state, a multiple of 32; there is one head per 32.
    """

    vocabulary: int
    layers: int
    width: int

    @property
    def hidden(self) -> int:
        """The width inside the gated MLP: 8/3 of the model's, rounded to a multiple of 16."""
        return max(16, round(self.width * 8 / 3 / 16) * 16)

    @property
    def parameters(self) -> int:
        """The number of non-embedding parameters, which is called the size of a model."""
        attention = 4 * self.width * self.width
        return (
            self.layers * (attention + 3 * self.width * self.hidden + 2 * self.width) + self.width
        )


class Transformer(nn.Module):
    """A causal language model with tied embeddings.

    Attributes:
        shape: its size.
        embedding: table of the tokens and head, (vocabulary, width).
        blocks: the layers, lowest first.
        norm: gain of the last norm, (width,).
    """

    def __init__(self, shape: Shape, seed: int) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Parameter(torch.empty(shape.vocabulary, shape.width))
        self.blocks = nn.ModuleList(Block(shape.width, shape.hidden) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.width))
        self._initialise(seed)

    @property
    def parts(self) -> list[Block]:
        """The blocks, typed."""
        return [block for block in self.blocks if isinstance(block, Block)]

    @property
    def neurons(self) -> list[nn.Linear]:
        """The projection behind the neurons of each block's MLP."""
        return [block.down for block in self.parts]

    @property
    def vocabulary(self) -> int:
        """The number of tokens that it has logits of."""
        return self.shape.vocabulary

    @property
    def size(self) -> int:
        """The number of non-embedding parameters."""
        return self.shape.parameters

    def hidden(self, tokens: Tensor) -> Tensor:
        """Return the last hidden states (rows, tokens, width) of `tokens` (rows, tokens)."""
        return self.hidden_of(self.embed(tokens))

    def embed(self, tokens: Tensor) -> Tensor:
        """Return what tokens are read as, (..., width)."""
        return functional.embedding(tokens, self.embedding)

    def hidden_of(self, vectors: Tensor) -> Tensor:
        """Return the last hidden states (rows, places, width) of what is read there."""
        turns = rotary_turns(vectors.shape[1], vectors.device)
        for block in self.parts:
            vectors = block(vectors, turns)
        return rms_norm(vectors, self.norm)

    def head(self, hidden: Tensor) -> Tensor:
        """Return the logits (..., vocabulary) of hidden states (..., width).

        It is apart from `hidden` so that callers can make the logits a chunk at a time.
        """
        return functional.linear(hidden, self.embedding)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits (rows, tokens, vocabulary) of `tokens` (rows, tokens)."""
        return self.head(self.hidden(tokens))

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.embedding.normal_(0.0, 0.02, generator=generator)
        for block in self.parts:
            for layer in (block.qkv, block.gate_up):
                layer.weight.normal_(0.0, self.shape.width**-0.5, generator=generator)
            for layer in (block.out, block.down):
                scale = (layer.in_features * 2 * self.shape.layers) ** -0.5
                layer.weight.normal_(0.0, scale, generator=generator)


def to_safetensors(model: Transformer) -> bytes:
    """Return the weights as one safetensors file, under the names that transformers uses."""
    return save(
        {name: _as_stored(tensor).cpu().contiguous() for name, tensor in _named(model)},
        {"format": "pt"},
    )


def from_safetensors(shape: Shape, data: bytes) -> Transformer:
    """Return the model of a file that `to_safetensors` wrote, on the CPU."""
    model = Transformer(shape, seed=0)
    stored = load(data)
    with torch.no_grad():
        for name, tensor in _named(model):
            tensor.copy_(stored[name].view(tensor.shape))
    return model


def config_json(shape: Shape, eos: int) -> bytes:
    """Return the `config.json` that makes a folder loadable by transformers.

    Args:
        shape: the size of the model.
        eos: number of the token that ends a text.
    """
    values = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.width // HEAD_WIDTH,
        "num_key_value_heads": shape.width // HEAD_WIDTH,
        "head_dim": HEAD_WIDTH,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_BASE,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_BASE},
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": eos,
        "eos_token_id": eos,
        "dtype": "float32",
    }
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def _as_stored(tensor: Tensor) -> Tensor:
    """Return a weight as a matrix or vector, the views of `_named` flattened."""
    return tensor.detach().flatten(0, -2) if tensor.ndim > 2 else tensor.detach()


def _named(model: Transformer) -> Iterator[tuple[str, Tensor]]:
    """Yield each weight with its name in transformers.

    A rotary pair is two neighbours here and half a head apart there, so queries and keys come as
    views (heads, 2, pairs, width).
    """
    yield "model.embed_tokens.weight", model.embedding
    yield "model.norm.weight", model.norm
    for number, block in enumerate(model.parts):
        prefix = f"model.layers.{number}"
        for name, tensor in zip("qkv", block.qkv.weight.chunk(3), strict=True):
            paired = tensor.view(-1, HEAD_WIDTH // 2, 2, tensor.shape[-1]).transpose(1, 2)
            yield f"{prefix}.self_attn.{name}_proj.weight", tensor if name == "v" else paired
        yield f"{prefix}.self_attn.o_proj.weight", block.out.weight
        for name, tensor in zip(("gate", "up"), block.gate_up.weight.chunk(2), strict=True):
            yield f"{prefix}.mlp.{name}_proj.weight", tensor
        yield f"{prefix}.mlp.down_proj.weight", block.down.weight
        yield f"{prefix}.input_layernorm.weight", block.norm_attention
        yield f"{prefix}.post_attention_layernorm.weight", block.norm_mlp
