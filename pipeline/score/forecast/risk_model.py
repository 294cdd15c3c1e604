"""The fitted forecast as a function of the dose, so that a filter can ask what is left of a risk.

The forecast is linear in the logs of the doses. What depends on no dose is added up once for a
sequence; then the risk at any other dose is one line of arithmetic, without a proxy, a text or a
fit.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.text.arrays import Float64
from schemas.score.risk import RISK_MODEL

SLOPES = ("slope_count", "slope_effective", "slope_suffix")


def risk_model(table: pa.Table, logit: Float64, slopes: Float64, epochs: float) -> pa.Table:
    """Return the rows of `risk_model` for the sequences that have a forecast.

    Args:
        table: `sequences`.
        logit: log odds of the forecast of each, NaN for none, (sequences,).
        slopes: log odds of each per unit of log dose: of its count, of the effective count of its
            document, of its suffix (which the rarest words in it follow), (sequences, 3).
        epochs: times the target sees the corpus.
    """
    counts = [
        table[name].to_numpy() * epochs
        for name in ("sequence_count", "effective_count", "suffix_count")
    ]
    offset = logit - np.einsum("ij,ij->i", slopes, _log_doses(*counts))
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
    return np.column_stack([np.log(np.maximum(dose, 1.0)) for dose in (count, effective, suffix)])


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
    from scipy.special import expit

    epochs = model["epochs"].to_numpy()
    slopes = np.column_stack([model[name].to_numpy() for name in SLOPES])
    doses = _log_doses(count * epochs, effective * epochs, suffix * epochs)
    logit = model["offset"].to_numpy() + np.einsum("ij,ij->i", slopes, doses)
    return np.where(count > 0, expit(logit), 0.0)
