"""Explain a forecast: the features of a sequence times the coefficients of the fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.tables import Row, read_table
from pipeline.score.forecast import features
from schemas.score.plants import PLANTS
from schemas.score.sequences import SEQUENCES

PROXIES = "proxies.json"


def contributions(
    tables: Mapping[str, Sequence[Path]], facts: Row, representative: int, risk: Row
) -> list[Row]:
    """Return feature, value, coefficient and contribution (in log odds) for each feature.

    Empty where the run has no fit for the basis of the forecast. A feature that the fit does not
    have is left out.

    Args:
        tables: the files of each table of the run.
        facts: the facts of the stage `risk`: the fit and the target.
        representative: row key of the representative of the document's text.
        risk: the document's row of `risk`.
    """
    basis = str(risk["basis"])
    if f"coefficients_{basis}" not in facts:
        basis = "unseen"  # one law speaks of all where no two proxies differ in size
    coefficients = facts.get(f"coefficients_{basis}")
    proxies = next((path for path in tables.get("models", []) if path.name == PROXIES), None)
    if not coefficients or proxies is None:
        return []
    sequences = read_table(tables["sequences"], SEQUENCES)
    is_scored = pc.and_(
        pc.equal(sequences["row_key"], pa.scalar(representative, pa.uint64())),
        pc.equal(sequences["start_byte"], risk["start_byte"]),
    )
    table = sequences.filter(is_scored).slice(0, 1)
    if not table.num_rows:
        return []
    panel = features.read_panel(
        table, json.loads(proxies.read_bytes())["proxies"], PLANTS.empty_table()
    )
    names, values = _features(panel, facts["target"], basis)
    return [
        {
            "feature": name,
            "value": float(value),
            "coefficient": coefficients[name],
            "contribution": float(value) * coefficients[name],
        }
        for name, value in zip(names, values, strict=True)
        if name in coefficients and np.isfinite(value)
    ]


def _features(
    panel: features.ScoredPanel, target: Row, basis: str
) -> tuple[Sequence[str], np.ndarray]:
    """Return the names and values of the features, computed as the stage `risk` does.

    They are at the size of the largest proxy: what a target beyond it adds is the same for all rows
    and no feature times its coefficient.
    """
    dose, top = panel.count * target["epochs"], panel.top
    size = top.parameters, top.tokens
    if basis == "seen":
        return features.SEEN, features.seen_features(panel, top, dose, *size)[0]
    return features.UNSEEN, features.unseen_features(panel, dose, *size)[0]
