"""Where a recall rests: the fewest neurons whose removal breaks it, and what else that harms.

For each recited sequence of a part of the panel its neurons are put in order by the harm expected
(`pipeline.score.signals.neurons`) and removed, first the first, until it is not recited. The same
removal is then asked for the other recited sequences and for the loss of text that is not known,
and so is the removal of as many neurons at random. It is done on a copy of the model.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config.sections import ProbesConfig
from pipeline.engine.progress import OnProgress
from pipeline.score.probes.cost import DRAWS
from pipeline.score.probes.generation import suffix_hits, suffix_log_p
from pipeline.score.probes.panel import Probed, ProbedModel
from pipeline.score.signals.neurons import expected_harm, fewest
from pipeline.score.slices import SEQUENCE, SUFFIX
from pipeline.text.arrays import Flags, Int64

MOST = 4  # one neuron of so many is removed at most
NAMES = (
    "needed",
    "of",
    "others_recited",
    "held_out_nats",
    "random_recited",
    "random_others_recited",
    "random_held_out_nats",
)


def neurons(
    subject: ProbedModel, panel: Probed, config: ProbesConfig, seed: int, on_progress: OnProgress
) -> dict[str, NDArray[np.float64]]:
    """Return for some recited sequences how few neurons they rest on, and what else these carry.

    Named numbers, (sequences,) each; NaN of a sequence that was not asked for, and of one that a
    quarter of all neurons does not carry.

    Args:
        subject: the model.
        panel: the sequences.
        config: how many are asked for.
        seed: of the neurons at random.
        on_progress: told the sequences done and those in all.
    """
    found = {name: np.full(len(panel.place), np.nan) for name in NAMES}
    switched = Switched.of(subject)
    recited = suffix_hits(subject, panel.tokens, SUFFIX).all(1).numpy()
    unknown = unknown_text(subject, panel, recited)
    chosen = np.flatnonzero(recited)[: config.neurons_panel]
    if not switched.total or not unknown.any():
        return found
    plain = _nats(subject, panel.tokens[unknown])
    draw = torch.Generator().manual_seed(seed)
    for done, row in enumerate(chosen.tolist(), 1):
        order = switched.order(panel.tokens[row])
        own = panel.tokens[row : row + 1]
        needed = _needed(switched, order, own)
        if needed is not None:
            others = panel.tokens[recited & (panel.family != panel.family[row])]
            asked = (own, others, panel.tokens[unknown])
            drawn = [torch.randperm(switched.total, generator=draw)[:needed] for _ in range(DRAWS)]
            chance = np.mean([_effect(switched, one, asked) for one in drawn], axis=0).tolist()
            effect = _effect(switched, order[:needed], asked)
            values = [needed, switched.total, effect[1], effect[2] - plain]
            values += [chance[0], chance[1], chance[2] - plain]
            for name, value in zip(NAMES, values, strict=True):
                found[name][row] = value
        on_progress(done, len(chosen))
    return found


def _needed(switched: Switched, order: Tensor, own: Int64) -> int | None:
    """Return the fewest of ordered neurons without which a sequence is not recited."""

    def breaks(size: int) -> bool:
        return not switched.recites(order[:size], own)

    return fewest(breaks, max(1, switched.total // MOST))


def unknown_text(subject: ProbedModel, panel: Probed, recited: Flags) -> Flags:
    """Return which sequences stand for text that the model does not know, (sequences,).

    Those that it never saw; where that is not known, those that it does not recite.
    """
    return np.asarray(subject.seen[panel.place] == 0 if subject.known else ~recited)


def _effect(
    switched: Switched, removed: Tensor, asked: tuple[Int64, Int64, Int64]
) -> tuple[float, float, float]:
    """Return the share recited of two sets of sequences, and the nats a token of a third."""
    with switched.without(removed):
        own, others = (
            float(suffix_hits(switched.subject, rows, SUFFIX).all(1).double().mean())
            if len(rows)
            else np.nan
            for rows in asked[:2]
        )
        return own, others, _nats(switched.subject, asked[2])


def _nats(subject: ProbedModel, rows: Int64) -> float:
    """Return the mean nats a token of some sequences."""
    return -float(suffix_log_p(subject, rows, SEQUENCE).double().mean())


@dataclass
class Switched:
    """A copy of a model whose neurons can be taken away.

    Attributes:
        subject: with the copy.
        sizes: neurons of each block.
        off: 1 for a neuron that is there, 0 for one that is not, (neurons,).
        entered: what entered the projection behind the neurons of each block last.
    """

    subject: ProbedModel
    sizes: list[int]
    off: Tensor
    entered: dict[int, Tensor]

    @classmethod
    def of(cls, subject: ProbedModel) -> Switched:
        """Return a copy of a model with all its neurons."""
        own = replace(subject, model=copy.deepcopy(subject.model))
        found = cls(own, [], torch.ones(0), {})
        for place, part in enumerate(own.model.neurons):

            def enter(_: object, given: tuple[Tensor], place: int = place) -> tuple[Tensor]:
                return (found.entering(place, given[0]),)

            part.register_forward_pre_hook(enter)
        rows = torch.zeros(1, 2, dtype=torch.int64, device=own.device)
        with torch.no_grad():
            own.model.hidden(rows)
        found.sizes = [found.entered[place].shape[-1] for place in sorted(found.entered)]
        found.off = torch.ones(found.total, device=own.device)
        return found

    @property
    def total(self) -> int:
        """The number of neurons."""
        return sum(self.sizes)

    def entering(self, place: int, values: Tensor) -> Tensor:
        """Return what goes on of the neurons of a block, and remember what came."""
        if self.sizes:
            first = sum(self.sizes[:place])
            values = values * self.off[first : first + self.sizes[place]]
        self.entered[place] = values
        return values

    @contextmanager
    def without(self, removed: Tensor) -> Iterator[None]:
        """Take some neurons away meanwhile."""
        self.off[removed] = 0.0
        try:
            yield
        finally:
            self.off[removed] = 1.0

    def recites(self, removed: Tensor, rows: Int64) -> bool:
        """Tell whether sequences are recited without some neurons."""
        with self.without(removed):
            return bool(suffix_hits(self.subject, rows, SUFFIX).all())

    def order(self, row: Int64) -> Tensor:
        """Return all neurons, those first that a sequence's suffix is expected to need most."""
        tokens = torch.from_numpy(row).to(self.subject.device)
        model = self.subject.model
        hidden = model.hidden(tokens[None, :-1])[0, -SUFFIX:]
        loss = torch.nn.functional.cross_entropy(
            model.head(hidden).float(), tokens[-SUFFIX:], reduction="sum"
        )
        values = [self.entered[place] for place in range(len(self.sizes))]
        slopes = torch.autograd.grad(loss, values)
        harm = [
            expected_harm(one.detach().flatten(0, -2), slope.flatten(0, -2))
            for one, slope in zip(values, slopes, strict=True)
        ]
        return torch.cat(harm).argsort(descending=True)
