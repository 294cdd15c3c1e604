"""The evidence for each judged sequence: the forecast of it, every baseline, and the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit

from pipeline.backtest.corpus.subject import Subject
from pipeline.backtest.training.trainings import EARLY, FINAL, OTHER, TARGET
from pipeline.score.forecast.features import ScoredPanel, read_panel
from pipeline.score.forecast.logistic import folds
from pipeline.score.forecast.risk import Basis, applied, bases, law_of
from pipeline.score.forecast.scaling import drawn_futures
from pipeline.score.forecast.target import Target
from pipeline.score.sequences.proxy_statistics import proxy_statistics
from pipeline.score.signals.ratios import zlib_ratio
from pipeline.score.slices import SEQUENCE
from pipeline.text.arrays import Flags, Float64, Int64
from schemas.score.plants import PLANTS

SEEN, UNSEEN = "seen", "unseen"
FORECASTS = (SEEN, UNSEEN)
LOG_COUNT, LOG_EFFECTIVE = "log exact count", "log effective count"
PROXY_P, EARLY_P, OTHER_MARGIN = "proxy log p_z", "early target log p_z", "other target margin"
PROXY_FLAG, EARLY_FLAG, OTHER_FLAG = "proxy flag", "early target flag", "other target flag"
BASE_RATE = "base rate"
Models = Mapping[str, pa.Table]  # scores by `model/mark`


@dataclass(frozen=True)
class Evidence:
    """All that is known of the sequences of the panel, one row each.

    Attributes:
        kind: natural | canary | fuzzy | template, (rows,).
        part: of the kind, (rows,).
        cluster: name of the planted cluster, (rows,).
        unit: name of what is drawn and left out together, (rows,).
        unit_number: the same as a number, (rows,).
        document: number in the catalogue, (rows,).
        trained: whether every model was trained on it, (rows,).
        count: exact occurrences in the corpus, (rows,).
        effective: effective count, in exact copies, (rows,).
        weight: sequences that it stands for, (rows,).
        truth: whether the target memorized it, (rows,).
        scores: what ranks rows, by name, (rows,) each.
        flags: what says yes or no, by name, (rows,) each.
        risk: risk, low and high end by forecast, (rows, 3) each; NaN where it does not speak.
        floor: memorized and all sequences that the target never saw, by kind.
        facts: what is reported of the forecasts.
    """

    kind: np.ndarray
    part: np.ndarray
    cluster: np.ndarray
    unit: np.ndarray
    unit_number: Int64
    document: Int64
    trained: Flags
    count: Float64
    effective: Float64
    weight: Float64
    truth: Flags
    scores: Mapping[str, Float64]
    flags: Mapping[str, Flags]
    risk: Mapping[str, Float64]
    floor: Mapping[str, tuple[int, int]]
    facts: Mapping[str, Any]

    @property
    def judged(self) -> Flags:
        """Which rows every model was trained on and both forecasts speak of, (rows,)."""
        spoken = [np.isfinite(values[:, 0]) for values in self.risk.values()]
        return np.asarray(np.logical_and.reduce([self.trained, *spoken]))


def evidence(
    subject: Subject,
    table: pa.Table,
    about: Sequence[Mapping[str, Any]],
    models: Models,
    target: Target,
) -> Evidence:
    """Forecast every family by what was fitted on others, beside the baselines and the truth.

    Labels of the target enter nothing but `truth`.

    Args:
        subject: the corpus of the back-test, as trained on.
        table: the `sequences` of the panel.
        about: name, role and parameters of its proxies.
        models: scores by `model/mark`.
        target: the model that is forecast.
    """
    planted = subject.planted.take(pa.array(subject.about))
    kind, part, cluster, unit = (
        _text(planted[name]) for name in ("kind", "part", "cluster", "unit")
    )
    place = table.schema.get_field_index("family")
    units = table.set_column(place, "family", pa.array(unit, pa.string()))
    panel = read_panel(units, about, PLANTS.empty_table())
    rows = len(unit)
    truth = models[f"{TARGET}/{FINAL}"]["memorized"].to_numpy()[:rows]
    risk, facts = _forecasts(panel, target, subject.work.config.proxy.seed)
    return Evidence(
        kind, part, cluster, unit, panel.family, subject.material.panel.document, panel.top.taught,
        panel.count, panel.effective, panel.weight, truth,
        _scores(table, panel, models), _flags(panel, models, rows), risk,
        _floor(subject, kind, panel.top.taught, models), facts,
    )  # fmt: skip


def held_out_forecast(basis: Basis, panel: ScoredPanel, target: Target, seed: int) -> Float64:
    """Return risk, low and high end of each row, by what was fitted on other folds, (rows, 3).

    NaN where there is no forecast.
    """
    found = np.full((len(panel.count), 3), np.nan)
    of_case, of_row = folds(basis.cases.family), folds(panel.family)
    spoken = np.isfinite(basis.features).all(1) & panel.top.taught
    for fold in np.unique(of_row).tolist():
        rows = spoken & (of_row == fold)
        cases = basis.cases.where(of_case != fold)
        if rows.any() and cases.label.any():
            law = law_of(replace(basis, cases=cases), panel, seed)
            chosen = drawn_futures(law, seed)
            part = applied(law, chosen, basis.features[rows], target.model)
            found[rows] = expit(part[:, :3])
    return found


def _forecasts(
    panel: ScoredPanel, target: Target, seed: int
) -> tuple[dict[str, Float64], dict[str, Any]]:
    """Return both forecasts and the facts of them."""
    top = panel.top
    families = len(np.unique(panel.family[top.memorized & top.taught]))
    facts: dict[str, Any] = {"families_memorized_by_the_largest_proxy": families}
    risk = {}
    for basis in bases(panel, target.epochs):
        risk[basis.name] = held_out_forecast(basis, panel, target, seed)
        facts[f"rows_fitted_on_{basis.name}"] = len(basis.cases.label)
    return risk, facts


def _scores(table: pa.Table, panel: ScoredPanel, models: Models) -> dict[str, Float64]:
    """Return all that ranks rows but the forecasts: counts, signals, other models."""
    top = proxy_statistics(table, panel.top.name, ("log_p_z", "min_k", "min_k_pp", "mean_nll"))
    size = (table["end_byte"].to_numpy() - table["start_byte"].to_numpy()).astype(np.float64)
    packed = np.maximum(table["zlib_bits_per_byte"].to_numpy() * size, 1.0)
    rows = len(size)
    return {
        LOG_COUNT: np.log(np.maximum(panel.count, 1.0)),
        LOG_EFFECTIVE: np.log(np.maximum(panel.effective, 1.0)),
        PROXY_P: top["log_p_z"],
        "Min-K%": top["min_k"],
        "Min-K%++": top["min_k_pp"],
        "zlib ratio": -zlib_ratio(top["mean_nll"], SEQUENCE, packed),
        EARLY_P: _column(models, f"{TARGET}/{EARLY}", rows),
        OTHER_MARGIN: _column(models, f"{OTHER}/{FINAL}", rows, "margin"),
    }


def _flags(panel: ScoredPanel, models: Models, rows: int) -> dict[str, Flags]:
    """Return all that says yes or no: of the largest proxy, the early and the other target."""
    return {
        PROXY_FLAG: panel.top.memorized,
        EARLY_FLAG: models[f"{TARGET}/{EARLY}"]["memorized"].to_numpy()[:rows],
        OTHER_FLAG: models[f"{OTHER}/{FINAL}"]["memorized"].to_numpy()[:rows],
    }


def _floor(
    subject: Subject, kind: np.ndarray, taught: Flags, models: Models
) -> dict[str, tuple[int, int]]:
    """Return memorized and all sequences that the target never saw, by kind."""
    table = models[f"{TARGET}/{FINAL}"]
    memorized = table["memorized"].to_numpy()
    outside = _text(subject.planted["kind"].take(pa.array(subject.outside_about)))
    kinds = np.concatenate((kind, outside))
    never = np.concatenate((~taught, np.ones(len(outside), np.bool_)))
    return {
        name: (
            int((memorized & never & (kinds == name)).sum()),
            int((never & (kinds == name)).sum()),
        )
        for name in ("natural", "canary", "fuzzy", "template")
    }


def _column(models: Models, name: str, rows: int, column: str = "log_p_z") -> Float64:
    """Return a statistic of the panel by a model at a mark, (rows,)."""
    return np.asarray(models[name][column].to_numpy()[:rows].astype(np.float64))


def _text(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of text as objects."""
    return np.array(column.to_pylist(), object)
