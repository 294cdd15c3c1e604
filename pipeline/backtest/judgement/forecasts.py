"""The forecast of each unit of the panel, by laws that were fitted on other units.

The laws are those of `rote score` (`pipeline.score.forecast`): the same features, prior and
futures. Only the fold is left out. A target's labels enter nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from pipeline.backtest.judgement.strata import Stratum
from pipeline.backtest.subject import Subject
from pipeline.score.forecast import features
from pipeline.score.forecast.features import ScoredPanel
from pipeline.score.forecast.logistic import folds
from pipeline.score.forecast.risk import ROWS, Basis, applied, law_of
from pipeline.score.forecast.scaling import CHOSEN, Law, Model, drawn_futures, log_odds
from pipeline.text.arrays import Flags, Float64, Int64

UNSEEN, SEEN = "unseen", "seen"
FORECASTS = (UNSEEN, SEEN)
FEATURES = {UNSEEN: features.UNSEEN, SEEN: features.SEEN}
LEAST_DOSE = 1e-9
_COIN = 92


@dataclass(frozen=True)
class Fold:
    """One part of the panel, with the law of all the others.

    Attributes:
        rows: sequences of the fold that are judged, (rows,).
        law: fitted on the other folds.
        futures: chosen from it.
    """

    rows: Int64
    law: Law
    futures: Int64


@dataclass(frozen=True)
class HeldOut:
    """What a ladder says of each sequence, by what was fitted on other units.

    Attributes:
        name: `unseen` or `seen`.
        panel: the sequences with the proxies of the ladder.
        inputs: features of each, (sequences, features).
        folds: the parts.
        cases: what all of them were fitted on together.
    """

    name: str
    panel: ScoredPanel
    inputs: Float64
    folds: tuple[Fold, ...]
    cases: int

    @property
    def top(self) -> Model:
        """The largest proxy of the ladder."""
        return Model(self.panel.top.parameters, self.panel.top.tokens)


@dataclass(frozen=True)
class Forecast:
    """What is forecast for one model; NaN where there is no forecast.

    Attributes:
        risk: probability, low and high end of its 95% interval, (sequences, 3).
        shares: expected share of each stratum in each chosen future, (futures,) by its name.
        drawn: the same when each sequence is memorized or not by its probability in that future.
    """

    risk: Float64
    shares: Mapping[str, Float64]
    drawn: Mapping[str, Float64]


def judged_rows(subject: Subject) -> Flags:
    """Return which sequences are judged: taught to every model, and known how easily guessed."""
    outside = features.outside_log_p(subject.panel)
    known = np.isfinite(outside) if np.isfinite(outside).any() else np.ones(len(outside), np.bool_)
    return np.asarray(subject.taught & known)


def held_out(subject: Subject, ladder: ScoredPanel, name: str, judged: Flags) -> HeldOut:
    """Return what a ladder says of each unit by what was fitted on others.

    Args:
        subject: the run.
        ladder: the panel with the proxies of the ladder.
        name: `unseen` or `seen`.
        judged: sequences to forecast, (sequences,).
    """
    basis = basis_of(subject, ladder, name, judged)
    own, of_row = folds(subject.unit_of(basis.cases.family)), folds(subject.unit)
    seed = subject.work.config.proxy.seed
    found = []
    for number in np.unique(of_row[judged]).tolist():
        law = law_of(replace(basis, cases=basis.cases.where(own != number)), ladder, seed)
        rows = np.flatnonzero(judged & (of_row == number))
        found.append(Fold(rows, law, drawn_futures(law, seed)))
    return HeldOut(name, ladder, basis.features, tuple(found), len(basis.cases.label))


def basis_of(subject: Subject, ladder: ScoredPanel, name: str, judged: Flags) -> Basis:
    """Return one of the two models of the forecast on a ladder.

    What a model larger than the ladder's top remembers is left out of what it is fitted on.
    """
    top = ladder.top
    dose = np.maximum(subject.panel.top.dose, LEAST_DOSE)
    if name == UNSEEN:
        cases = features.unseen_cases(ladder)
        inputs = features.unseen_features(ladder, dose, top.parameters, top.tokens)
    else:
        cases = features.seen_cases(ladder)
        inputs = features.seen_features(ladder, top, dose, top.parameters, top.tokens)
    sizes = np.array([one.parameters for one in ladder.proxies])
    within = cases.where(sizes[cases.rung] <= top.parameters)
    return Basis(name, FEATURES[name], within, inputs, judged)


def forecast(of: HeldOut, model: Model, strata: Sequence[Stratum]) -> Forecast:
    """Return the forecast of each sequence for a model, and the expected share of each stratum.

    Args:
        of: what a ladder says.
        model: the target.
        strata: whose shares are asked for.
    """
    risk = np.full((len(of.inputs), 3), np.nan)
    expected = {stratum.name: np.zeros(CHOSEN) for stratum in strata}
    drawn = {stratum.name: np.zeros(CHOSEN) for stratum in strata}
    random = np.random.Generator(np.random.PCG64([len(risk), _COIN]))
    for fold in of.folds:
        for start in range(0, len(fold.rows), ROWS):
            rows = fold.rows[start : start + ROWS]
            inputs = of.inputs[rows]
            risk[rows] = expit(applied(fold.law, fold.futures, inputs, model)[:, :3])
            chance = expit(log_odds(fold.law, fold.futures, inputs, model))  # (futures, rows)
            came_true = random.random(chance.shape) < chance
            for one in strata:
                weight = one.weight[rows] * one.rows[rows]
                expected[one.name] += np.einsum("fs,s->f", chance, weight)
                drawn[one.name] += np.einsum("fs,s->f", came_true, weight)
    totals = {one.name: max(float(one.weight[one.rows].sum()), 1e-300) for one in strata}
    return Forecast(
        risk,
        {name: expected[name] / total for name, total in totals.items()},
        {name: drawn[name] / total for name, total in totals.items()},
    )
