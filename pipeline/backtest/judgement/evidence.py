"""The evidence for each judged sequence: the forecasts, every baseline, and the truths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.backtest.judgement.forecasts import (
    FORECASTS,
    SEEN,
    Forecast,
    HeldOut,
    forecast,
    held_out,
    judged_rows,
)
from pipeline.backtest.judgement.strata import Stratum, strata_of
from pipeline.backtest.judgement.truths import Truth, ladders, other_seed
from pipeline.backtest.subject import Subject
from pipeline.score.forecast import features
from pipeline.score.forecast.features import ScoredPanel
from pipeline.score.forecast.scaling import Model
from pipeline.score.slices import SUFFIX
from pipeline.text.arrays import Flags, Float64

LOG_COUNT, LOG_EFFECTIVE, LOG_RAREST = "log count", "log effective count", "log rarest count"
PROXY_P, OUTSIDE_P = "proxy log p_z", "log p by a proxy that did not see it"
EARLY_P, OTHER_MARGIN = "early target log p_z", "other seed's margin"
PROXY_FLAG, EARLY_FLAG, OTHER_FLAG = "proxy flag", "early target flag", "other seed flag"
RANKERS = (
    LOG_COUNT, LOG_EFFECTIVE, LOG_RAREST, PROXY_P, OUTSIDE_P, "Min-K%", "Min-K%++", EARLY_P,
)  # fmt: skip


@dataclass(frozen=True)
class Triple:
    """A ladder, a target, and what the one says of the other.

    Attributes:
        ladder: the panel with the proxies of the ladder.
        name: `unseen` or `seen`.
        truth: what the target remembers.
        other: the same of another seed; None where there is none.
        forecast: each unit by what was fitted on others.
    """

    ladder: ScoredPanel
    name: str
    truth: Truth
    other: Truth | None
    forecast: Forecast

    @property
    def about(self) -> dict[str, Any]:
        """What is said of it beside each figure."""
        top = self.ladder.top
        return {
            "score": self.name,
            "ladder": " ".join(one.name for one in self.ladder.of_role("ladder")),
            "target": self.truth.model,
            "seed": self.truth.seed,
            "order": self.truth.order,
            "times": self.truth.parameters / top.parameters,
        }


@dataclass(frozen=True)
class Evidence:
    """All that is known of the sequences of the panel.

    Attributes:
        subject: the run.
        judged: which sequences are judged, (sequences,).
        strata: of them, in their order.
        triples: each forecast of each target by each ladder, the headline's first.
        headline: those of the full ladder and of the largest targets of an order of their own.
        facts: what is reported of the forecasts.
    """

    subject: Subject
    judged: Flags
    strata: Sequence[Stratum]
    triples: Sequence[Triple]
    headline: Mapping[str, Sequence[Triple]]
    facts: Mapping[str, Any]

    @property
    def dose(self) -> Float64:
        """Times that a target is taught each sequence, (sequences,)."""
        return self.subject.panel.top.dose


def evidence(subject: Subject, targets: Sequence[Truth]) -> Evidence:
    """Forecast every target by every ladder, each unit by what was fitted on others.

    Labels of a target enter nothing but the truth.

    Args:
        subject: the run.
        targets: that were trained in an order of their own.
    """
    judged = judged_rows(subject)
    strata = strata_of(subject, judged)
    triples: list[Triple] = []
    facts: dict[str, Any] = {}
    full = subject.panel.of_role("ladder")
    for ladder, truths in ladders(subject.panel, targets):
        for name in FORECASTS:
            if name == SEEN and len(ladder.of_role("ladder")) < len(full):
                continue
            of = held_out(subject, ladder, name, judged)
            if len(ladder.of_role("ladder")) == len(full):
                facts[f"cases_of_{name}"] = of.cases
            triples += [_triple(of, truth, targets, strata) for truth in truths]
    return Evidence(subject, judged, strata, triples, _headline(triples, targets), facts)


def _triple(
    of: HeldOut, truth: Truth, targets: Sequence[Truth], strata: Sequence[Stratum]
) -> Triple:
    found = forecast(of, Model(truth.parameters, of.top.tokens), strata)
    return Triple(of.panel, of.name, truth, other_seed(truth, targets), found)


def _headline(triples: Sequence[Triple], targets: Sequence[Truth]) -> dict[str, list[Triple]]:
    """Return by forecast the triples of the full ladder and the largest target, one a seed."""
    most = max((one.parameters for one in targets), default=0)
    ladder = triples[0].ladder if triples else None
    return {
        name: [
            one
            for one in triples
            if one.ladder is ladder
            and one.name == name
            and one.truth.seed is not None
            and one.truth.parameters == most
        ]
        for name in FORECASTS
    }


def baselines(subject: Subject, truth: Truth, other: Truth | None) -> dict[str, Float64]:
    """Return all that ranks sequences but the forecasts: counts, signals, other models."""
    panel, top = subject.panel, subject.panel.top.name
    times = panel.top.dose / panel.count
    nothing = np.zeros(len(panel.count))
    counts = (panel.count, panel.effective, panel.rarest)
    logs = [np.log(np.maximum(count * times, 1.0)) for count in counts]
    outside = features.outside_log_p(panel) / SUFFIX
    return {
        LOG_COUNT: logs[0],
        LOG_EFFECTIVE: logs[1],
        LOG_RAREST: logs[2],
        PROXY_P: panel.top.log_p,
        OUTSIDE_P: np.nan_to_num(outside, nan=0.0),
        "Min-K%": subject.statistic(top, "min_k"),
        "Min-K%++": subject.statistic(top, "min_k_pp"),
        EARLY_P: nothing if truth.early_log_p is None else truth.early_log_p,
        OTHER_MARGIN: nothing if other is None else other.margin,
    }


def flags(subject: Subject, truth: Truth, other: Truth | None) -> dict[str, Flags]:
    """Return all that says yes or no: of the largest proxy, the early and the other target."""
    nothing = np.zeros(len(subject.panel.count), np.bool_)
    early = truth.early_memorized
    return {
        PROXY_FLAG: subject.panel.top.memorized,
        EARLY_FLAG: nothing if early is None else early,
        OTHER_FLAG: nothing if other is None else other.memorized,
    }
