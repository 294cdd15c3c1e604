"""Ratios of losses: against compressed size, and against the suffix without its prefix.

They are baselines: on text of one kind, membership tests of this sort are near chance.
"""

from __future__ import annotations

import numpy as np

from pipeline.text.arrays import Float64

BITS = 1.0 / np.log(2.0)


def zlib_ratio(mean_nll: Float64, tokens: int, zlib_bits: Float64) -> Float64:
    """Return total NLL bits / total zlib bits (Carlini et al. 2021); low for what is memorized.

    mean_nll: nats a token, over `tokens`. Peers divide a mean by a total, which depends on length.
    """
    return np.asarray(mean_nll * tokens * BITS / zlib_bits)


def prior_bits(log_p_given: Float64, log_p_alone: Float64) -> Float64:
    """Return log2 of P(s|p) / P(s), in bits: what the prefix p tells of the suffix s.

    Near 0 for boilerplate, which is as probable without its prefix (prior-aware memorization, arXiv
    2602.18733). Both are log probabilities in nats.
    """
    return np.asarray((log_p_given - log_p_alone) * BITS)
