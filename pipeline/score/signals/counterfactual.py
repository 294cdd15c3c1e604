"""Counterfactual memorization from several models that were each trained on a part of the data.

mem(x) = mean of the score of x over the models that saw it - mean over those that did not (Zhang et
al. 2021, eq. 1; the subsampled estimator of Feldman and Zhang 2020). The unit that is put in or
left out must be a family: while other copies stay, leaving one out changes nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.text.arrays import Float64


def counterfactual(scores: Float64, inside: NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """Return the difference of the two means of each row and its standard error, (rows,) each.

    SE = sqrt(v_in / K_in + v_out / K_out) with the unbiased variances of the models inside and
    outside. NaN where no model is on one side; the error too where a side has fewer than two.

    Args:
        scores: of each model, (models, rows).
        inside: whether the model was trained on the row, (models, rows).
    """
    mean_in, error_in = _side(scores, inside)
    mean_out, error_out = _side(scores, ~inside)
    return mean_in - mean_out, np.sqrt(error_in + error_out)


def _side(scores: Float64, taken: NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """Return mean and squared standard error of the chosen models, (rows,) each."""
    count = taken.sum(0).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(taken, scores, 0.0).sum(0) / count
        spread = np.where(taken, (scores - mean) ** 2, 0.0).sum(0)
        error = spread / (count - 1) / count
    return np.where(count > 0, mean, np.nan), np.where(count > 1, error, np.nan)
