"""The table `models`: each proxy as a folder that transformers loads, and what is told of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.score.sequences.catalogue import Catalogue
from pipeline.score.sequences.taught import Lesson
from pipeline.text.arrays import Flags

if TYPE_CHECKING:
    from pipeline.config.sections import ProxyConfig
    from pipeline.score.proxy.ensemble import Proxy
    from pipeline.score.proxy.tokenizer import Language

MODELS = "models"
PROXIES = "proxies.json"
MANIFEST = "sample.json"
SAW = {"ladder": (0, 1), "early": (0, 1), "half-a": (0,), "half-b": (1,)}
"""The halves that a proxy was trained on, by its role or, of the cross-fit pair, its name."""


def about(proxy: Proxy) -> dict[str, Any]:
    """Return the facts of one proxy."""
    return {
        "proxy": proxy.name,
        "role": proxy.role,
        "parameters": proxy.parameters,
        "epochs": proxy.epochs if proxy.share == 1.0 else round(proxy.epochs * proxy.share, 4),
        "tokens": proxy.tokens,
        "final_loss": None if np.isnan(proxy.loss) else round(proxy.loss, 4),
        **({"source": proxy.source, "digest": proxy.identity} if proxy.source else {}),
    }


def model_files(
    proxies: Sequence[Proxy], language: Language, config: ProxyConfig
) -> dict[str, bytes]:
    """Return the files of each proxy that was trained here, by name below `models`.

    Args:
        proxies: all of them.
        language: their tokenizer, which stands alone where they were loaded.
        config: the settings of the proxies.
    """
    from pipeline.score.proxy.model import Transformer, config_json, to_safetensors
    from pipeline.score.proxy.tokenizer import tokenizer_config

    parts: dict[str, bytes] = {}
    spoken = {
        "tokenizer.json": language.stored,
        "tokenizer_config.json": tokenizer_config(language.eos_name),
    }
    for proxy in proxies:
        if isinstance(proxy.model, Transformer):
            parts[f"{proxy.name}/config.json"] = config_json(proxy.model.shape, language.eos)
            parts[f"{proxy.name}/model.safetensors"] = to_safetensors(proxy.model)
            parts |= {f"{proxy.name}/{name}": data for name, data in spoken.items()}
    if config.models:
        parts |= {f"tokenizer/{name}": data for name, data in spoken.items()}
    return parts


def read_proxies(folder: Path, told: Sequence[Mapping[str, Any]], device: str) -> list[Proxy]:
    """Return the proxies of a run that were trained in it, from its folder `models`.

    Args:
        folder: that folder.
        told: the facts of each.
        device: where they are to be.
    """
    from pipeline.score.proxy.ensemble import Proxy
    from pipeline.score.proxy.model import Shape, from_safetensors

    found = []
    for one in told:
        name, role = one["proxy"], one["role"]
        config = json.loads((folder / name / "config.json").read_bytes())
        shape = Shape(config["vocab_size"], config["num_hidden_layers"], config["hidden_size"])
        data = (folder / name / "model.safetensors").read_bytes()
        model = from_safetensors(shape, data).to(device).eval()
        loss = np.nan if one["final_loss"] is None else one["final_loss"]
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        saw = SAW[name if role == "half" else role]
        found.append(
            Proxy(name, role, model, saw, one["epochs"], one["tokens"], loss, device, digest)
        )
    return found


def manifest(
    known: Catalogue, lesson: Lesson, rows: int, seen: Flags | None = None
) -> dict[str, Any]:
    """Return which families hold text that was trained on, each with the half of its first text.

    Args:
        known: the documents.
        lesson: what was taught.
        rows: that an epoch teaches of the sample.
        seen: documents that loaded proxies were trained on, where a column says it.
    """
    copies = lesson.copies_by_half(known)
    if seen is not None:
        copies[:, 0] += seen
    halves = {
        known.family_names[known.family[number]]: int(copies[number].argmax())
        for number in np.flatnonzero(copies.sum(1))[::-1].tolist()
    }
    return {
        "half_of_family": dict(sorted(halves.items())),
        "rows": rows,
        "token_counts": lesson.frequency.tolist(),
    }


def as_json(value: object) -> bytes:
    """Return a plain value as the bytes of a file, the same for the same value."""
    return (json.dumps(value, sort_keys=True) + "\n").encode()
