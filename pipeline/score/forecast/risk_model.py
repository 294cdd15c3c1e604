"""The fitted forecast as a function of the dose, so that a filter can ask what is left of a risk.

The risk model is linear in the logs of the doses. What depends on no dose is added up once for a
sequence; then the risk at any other dose is one line of arithmetic, without a proxy, a text or a
fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from scipy.special import expit

from pipeline.score.forecast.logistic import Cases, fit
from pipeline.text.arrays import Flags, Float64
from schemas.score.risk import RISK_MODEL

DOSES = ("log dose", "log effective dose", "log suffix dose", "log dose ratio")
SLOPES = ("slope_count", "slope_effective", "slope_suffix", "slope_ratio")


class Fitted(Protocol):
    """The properties that `risk_model` reads of a basis of the forecast; see `risk.Basis`.

    Attributes:
        names: of the features, in order.
        cases: what it is fitted on.
        features: of all sequences, (sequences, features).
        rows: which sequences it speaks of, (sequences,).
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in order."""

    @property
    def cases(self) -> Cases:
        """The cases that it is fitted on."""

    @property
    def features(self) -> Float64:
        """The features of all sequences, (sequences, features)."""

    @property
    def rows(self) -> Flags:
        """The sequences that it speaks of, (sequences,)."""


def risk_model(table: pa.Table, bases: Sequence[Fitted], epochs: float) -> pa.Table:
    """Return the rows of `risk_model` for the sequences that have a forecast.

    Args:
        table: `sequences`.
        bases: the two models, each with sequences of its own; none when nothing was fitted.
        epochs: times the target sees the corpus.
    """
    offset = np.full(table.num_rows, np.nan)
    slopes = np.zeros((table.num_rows, len(SLOPES)))
    for basis in bases:
        fitted = fit(basis.cases)
        slope = dict(zip(basis.names, fitted.slopes(), strict=True))
        slopes[basis.rows] = [slope.get(name, 0.0) for name in DOSES]
        offset[basis.rows] = fitted.logit(basis.features[basis.rows])
    counts, effective, suffix = (
        table[name].to_numpy() for name in ("sequence_count", "effective_count", "suffix_count")
    )
    doses = _log_doses(counts * epochs, effective * epochs, suffix * epochs)
    offset -= np.einsum("ij,ij->i", slopes, doses)
    model = pa.table(
        {
            **{name: table[name] for name in ("row_key", "start_byte", "end_byte", "suffix_byte")},
            "weight": table["weight"],
            "epochs": np.full(table.num_rows, epochs),
            "offset": offset,
            **{name: slopes[:, place] for place, name in enumerate(SLOPES)},
        },
        schema=RISK_MODEL,
    )
    return model.filter(pa.array(np.isfinite(offset)))


def _log_doses(count: Float64, effective: Float64, suffix: Float64) -> Float64:
    """Return what each slope is multiplied with, (sequences, slopes).

    A dose below one counts as one.
    """
    least = (np.log(np.maximum(dose, 1.0)) for dose in (count, effective, suffix))
    ratio = np.log(np.where(count > 0, count, 1.0))
    return np.column_stack((*least, ratio))


def risk_at(model: pa.Table, count: Float64, effective: Float64, suffix: Float64) -> Float64:
    """Return the risk of each row of `risk_model` if the corpus held it so many times, (rows,).

    A sequence that the corpus no longer holds is not learnt from it: 0. (A model may still guess
    it: that is the floor, which no filter lowers.)

    Args:
        model: the table.
        count: as `sequence_count`, (rows,).
        effective: as `effective_count`, (rows,).
        suffix: as `suffix_count`, (rows,).
    """
    epochs = model["epochs"].to_numpy()
    slopes = np.column_stack([model[name].to_numpy() for name in SLOPES])
    doses = _log_doses(count * epochs, effective * epochs, suffix * epochs)
    logit = model["offset"].to_numpy() + np.einsum("ij,ij->i", slopes, doses)
    return np.where(count > 0, expit(logit), 0.0)
