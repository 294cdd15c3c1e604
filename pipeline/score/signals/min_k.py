"""Min-K% and Min-K%++: how improbable the most improbable tokens are.

Min-K% (Shi et al. 2023, eq. 1) is the mean of the lowest k% of the token log-probabilities.
Min-K%++ (Zhang et al. 2024, eq. 3) standardises each by the mean and deviation of log p under the
model's own next-token distribution: (log p(x_t) - mu_t) / sigma_t, mu_t = sum_v p log p, sigma_t^2
= sum_v p (log p)^2 - mu_t^2.
"""

from __future__ import annotations

from torch import Tensor

SHARE = 0.2
LEAST_DEVIATION = 1e-4


def min_k(log_probabilities: Tensor, share: float = SHARE) -> Tensor:
    """Return the mean of the lowest `share` of each row, of one token at least, (rows,).

    Args:
        log_probabilities: of the tokens, standardised for Min-K%++, (rows, tokens).
        share: k / 100.
    """
    count = max(1, int(log_probabilities.shape[-1] * share))
    return log_probabilities.topk(count, dim=-1, largest=False).values.mean(-1)


def standardised(log_probabilities: Tensor, mean: Tensor, square: Tensor) -> Tensor:
    """Return (log p - mu) / sigma of each token, (rows, tokens).

    A certain model has sigma near 0, where every score would grow without bound: sigma is at least
    LEAST_DEVIATION.

    Args:
        log_probabilities: log p of the true tokens, (rows, tokens).
        mean: mu, sum_v p log p, (rows, tokens).
        square: sum_v p (log p)^2, (rows, tokens).
    """
    deviation = (square - mean * mean).clamp_min(LEAST_DEVIATION**2).sqrt()
    return (log_probabilities - mean) / deviation
