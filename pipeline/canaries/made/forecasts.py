"""What the run forecasts of each canary at its dose, for the target that it has declared.

A canary is to the law what a plant is: an exact copy at random places, of a text that no proxy saw.
How easily it is guessed is asked of the cross-fit pair, as for every sequence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from pipeline.config.sections import Config
from pipeline.engine.tables import read_table
from pipeline.score.forecast import features
from pipeline.score.forecast.features import ScoredPanel, read_panel
from pipeline.score.forecast.risk import applied, bases, law_of
from pipeline.score.forecast.scaling import Model, drawn_futures
from pipeline.score.forecast.target import target_of
from pipeline.score.signals.repetition import suffix_entropy
from pipeline.score.signals.zlib import zlib_bits_per_byte
from pipeline.score.slices import SUFFIX
from pipeline.text.arrays import Float64, Int64
from schemas.score.plants import PLANTS
from schemas.score.sequences import SEQUENCES

if TYPE_CHECKING:
    from pipeline.score.proxy.tokenizer import Language

NEEDED = ("sequences", "plants", "models", "risk")
PROXIES = "proxies.json"
DIGITS = 6


def why_no_forecast(tables: Mapping[str, list[Path]], facts: Mapping[str, Any]) -> str | None:
    """Return why there is no forecast of canaries, or None.

    Args:
        tables: the current tables of the run.
        facts: of its stage `risk`.
    """
    if any(name not in tables for name in NEEDED):
        return "the run was never scored, or its score is of another scan or other settings"
    return None if facts.get("fitted") else str(facts.get("why_not"))


def language_of_run(models: Sequence[Path]) -> Language:
    """Return the tokenizer of a scored run.

    Args:
        models: the files of its table `models`.
    """
    from pipeline.score.proxy.tokenizer import load_language

    folder = next(path.parent for path in sorted(models) if path.name == "tokenizer.json")
    return load_language(folder, "models")


def forecasts(
    tables: Mapping[str, list[Path]],
    config: Config,
    texts: Sequence[str],
    rows: Int64,
    dose: Int64,
) -> tuple[Float64, dict[str, Any]]:
    """Return risk and both ends of its interval of each canary, (canaries, 3), and the target.

    Args:
        tables: the tables of a scored run.
        config: its settings.
        texts: up to the end of the suffix of each, (canaries,).
        rows: the end of text and 64 tokens of each, (canaries, 65).
        dose: times that each is in the file, (canaries,).
    """
    path = next(path for path in tables["models"] if path.name == PROXIES)
    about = json.loads(path.read_bytes())["proxies"]
    sequences = read_table(tables["sequences"], SEQUENCES)
    panel = read_panel(sequences, about, read_table(tables["plants"], PLANTS))
    top = Model(panel.top.parameters, panel.top.tokens)
    target = target_of(config.target, top)
    seed = config.proxy.seed
    law = law_of(bases(panel, target.epochs)[0], panel, seed)
    own = _panel(about, panel, texts, rows, dose, _outside(tables["models"], about, rows, config))
    inputs = features.unseen_features(own, own.count * target.epochs, top.parameters, top.tokens)
    found = applied(law, drawn_futures(law, seed), inputs, target.model)[:, :3]
    told = {
        "parameters": target.parameters,
        "tokens": target.tokens,
        "epochs": target.epochs,
        "extrapolated": target.extrapolated,
        "assumption": target.assumed,
    }
    return np.round(expit(found), DIGITS), told


def _outside(
    models: Sequence[Path], about: Sequence[Mapping[str, Any]], rows: Int64, config: Config
) -> dict[str, Float64]:
    """Return log p of the suffixes by each model of the cross-fit pair, by its name."""
    from pipeline.score.proxy.ensemble import chosen_device
    from pipeline.score.proxy.pool import torch_threads
    from pipeline.score.proxy.pretrained import load_models
    from pipeline.score.proxy.statistics import ProxyScorer

    device, found = chosen_device(config.proxy), {}
    with torch_threads(config.proxy.threads, exact=config.proxy.deterministic):
        for name in (one["proxy"] for one in about if one["role"] == "half"):
            folder = next(path.parent for path in models if path.parent.name == name)
            [model] = load_models([str(folder)], 0, device)
            found[name] = np.asarray(ProxyScorer(model, device).score(rows)["log_p_z"], np.float64)
    return found


def _panel(
    about: Sequence[Mapping[str, Any]],
    of_run: ScoredPanel,
    texts: Sequence[str],
    rows: Int64,
    dose: Int64,
    outside: Mapping[str, Float64],
) -> ScoredPanel:
    """Return the canaries as the law sees plants that no proxy was taught."""
    size, counts = len(rows), dose.astype(np.float64)
    nothing, none = np.full(size, np.nan), np.zeros(size, np.bool_)
    proxies = tuple(
        replace(
            seen,
            dose=np.zeros(size),
            log_p=outside.get(one["proxy"], nothing),
            memorized=none,
            margin=nothing,
        )
        for one, seen in zip(about, of_run.proxies, strict=True)
    )
    return ScoredPanel(
        count=counts,
        effective=counts,
        suffix=counts,
        rarest=counts,
        weight=np.zeros(size),
        compressed=np.array([zlib_bits_per_byte(text.encode()) for text in texts]),
        continued=np.ones(size),
        entropy=np.asarray(suffix_entropy(rows[:, 1:], SUFFIX), np.float64),
        planted=~none,
        family=np.arange(size),
        proxies=proxies,
    )
