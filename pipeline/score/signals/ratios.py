"""Comparisons of a loss: with the compressed size, and with the suffix without its prefix.

They are baselines: on text of one kind, membership tests of this sort are near chance.
"""

from __future__ import annotations

import numpy as np

from pipeline.text.arrays import Float64

BITS = 1.0 / np.log(2.0)  # in a nat


def zlib_ratio(mean_nll: Float64, tokens: int, zlib_bits: Float64) -> Float64:
    """Return total NLL bits / total zlib bits (Carlini et al. 2021, section 5.2), (rows,).

    It is low for what is memorized. Others divide a mean by a total, which depends on the length.

    Args:
        mean_nll: nats per token, (rows,).
        tokens: how many the mean is over.
        zlib_bits: compressed size, (rows,).
    """
    return np.asarray(mean_nll * tokens * BITS / zlib_bits)


def prior_bits(log_p_given: Float64, log_p_alone: Float64) -> Float64:
    """Return log2 of P(s|p) / P(s), in bits: what the prefix p tells of the suffix s, (rows,).

    Near 0 for boilerplate, which is as probable without its prefix (prior-aware memorization, arXiv
    2602.18733).

    Args:
        log_p_given: log probability of the suffix after its prefix, in nats, (rows,).
        log_p_alone: the same after EOS alone, in nats, (rows,).
    """
    return np.asarray((log_p_given - log_p_alone) * BITS)
