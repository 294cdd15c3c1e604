"""How few neurons a recall rests on: which to try first, and how many must go.

A neuron is what enters the projection behind an MLP. The change of a loss when it is set to 0 is,
to first order, minus its value times the gradient there, summed over the tokens; the neurons that
this puts first are taken away until the text is not recited any more. (FFN as key-value memories,
Geva et al. 2021; integrated gradients at neurons, Dai et al. 2022; one-shot localisation against
deactivation, Chang et al. 2024; finding few neurons by removal, Hintersdorf et al. 2024.)
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def expected_harm(values: Tensor, slopes: Tensor) -> Tensor:
    """Return what the loss is expected to gain when each neuron is set to 0, (neurons,), in nats.

    Args:
        values: of the neurons at each token, (tokens, neurons).
        slopes: gradient of the loss there, (tokens, neurons).
    """
    return -(values * slopes).sum(0)


def fewest(breaks: Callable[[int], bool], most: int) -> int | None:
    """Return the fewest of ordered neurons whose removal breaks a recall; None if none up to most.

    Doubled until it breaks, then halved between: where more neurons break less, the least found.

    Args:
        breaks: tells whether the removal of the first so many does.
        most: neurons that are removed at most.
    """
    size = 1
    while not breaks(size):
        if size == most:
            return None
        size = min(2 * size, most)
    low, high = size // 2, size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if breaks(middle) else (middle, high)
    return high
