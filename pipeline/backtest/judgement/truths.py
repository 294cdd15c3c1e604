"""What larger models remember: the truth that a forecast is held against.

Targets that were trained for it have an order and weights of their own. Every rung of the ladder is
a target of the shorter ladders as well; it costs nothing, but shares seed and order with the
proxies, which makes it easier to forecast, and is said beside its figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from pipeline.backtest.training.trainings import Training
from pipeline.score.forecast.features import ScoredPanel
from pipeline.text.arrays import Flags, Float64

OWN, PROXIES = "its own", "the proxies'"  # seed and order of a target
LEAST_RUNGS = 2  # of a ladder


@dataclass(frozen=True)
class Truth:
    """What a target remembers of the panel and the plants.

    Attributes:
        model: name of the model: a shape, or a rung of the ladder.
        seed: of its weights and order; None for a rung, which has those of the proxies.
        parameters: without embeddings.
        memorized: of each sequence, (sequences,).
        margin: least lead of a suffix token in nats, (sequences,).
        log_p: log probability of the suffix given the prefix in nats, (sequences,).
        early_memorized: of each sequence after the first mark, (sequences,); None for a rung.
        early_log_p: likewise.
    """

    model: str
    seed: int | None
    parameters: int
    memorized: Flags
    margin: Float64
    log_p: Float64
    early_memorized: Flags | None = None
    early_log_p: Float64 | None = None

    @property
    def name(self) -> str:
        """Its name with its seed."""
        return self.model if self.seed is None else f"{self.model} seed {self.seed}"

    @property
    def order(self) -> str:
        """Whose order and initial weights it has."""
        return PROXIES if self.seed is None else OWN


def truth_of(training: Training, final: pa.Table, early: pa.Table) -> Truth:
    """Return what a trained target remembers.

    Args:
        training: of the target.
        final: its scores at the end.
        early: its scores after the first mark.
    """
    shape = training.shape
    return Truth(
        f"{shape.layers}x{shape.width}",
        training.seed,
        shape.parameters,
        final["memorized"].to_numpy(),
        final["margin"].to_numpy().astype(float),
        final["log_p_z"].to_numpy().astype(float),
        early["memorized"].to_numpy(),
        early["log_p_z"].to_numpy().astype(float),
    )


def rungs_of(panel: ScoredPanel) -> list[Truth]:
    """Return the rungs of the ladder as targets."""
    return [
        Truth(one.name, None, one.parameters, one.memorized, one.margin, one.log_p)
        for one in panel.of_role("ladder")
    ]


def other_seed(truth: Truth, truths: Sequence[Truth]) -> Truth | None:
    """Return the same model with the next seed, which shows what a forecast can reach at most."""
    same = [one for one in truths if one.model == truth.model and one.seed is not None]
    if truth.seed is None or len(same) < 2:
        return None
    place = [one.seed for one in same].index(truth.seed)
    return same[(place + 1) % len(same)]


def ladders(
    full: ScoredPanel, targets: Sequence[Truth]
) -> Iterator[tuple[ScoredPanel, list[Truth]]]:
    """Yield each ladder with all targets that it can forecast, the full ladder first.

    Those are larger than its top, or its twin of another order. A ladder holds the smallest sizes;
    its cross-fit pair may be larger than its top, and then says how easily a sequence is guessed,
    but labels nothing (`pipeline.backtest.judgement.forecasts`).
    """
    sizes = full.of_role("ladder")
    for count in range(len(sizes), LEAST_RUNGS - 1, -1):
        top = sizes[count - 1].parameters
        kept = tuple(one for one in full.proxies if one.role != "ladder" or one.parameters <= top)
        larger = [one for one in rungs_of(full) if one.parameters > top]
        truths = [*(one for one in targets if one.parameters >= top), *larger]
        if truths:
            yield replace(full, proxies=kept), truths
