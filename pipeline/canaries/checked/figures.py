"""What the answers show: extraction by dose, exposure, recognition, and whether the forecast held.

Every figure is of the canaries that have an answer, and says of how many. A pair is drawn as one in
every bootstrap, since its texts differ in the coin alone. The coin is asked only for the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import binom

from pipeline.canaries.checked.answers import Answers
from pipeline.canaries.key import Key
from pipeline.score.forecast.bootstrap import times_drawn
from pipeline.score.signals.exposure import exposure
from pipeline.score.signals.wilson import wilson
from pipeline.text.arrays import Flags, Float64, Int64

DRAWS = 2_000
SEED = 71
LEAST_RISK = 1e-9
ENDS = (0.025, 0.975)
Z = 1.959964  # standard deviations to either end of a 95% interval


@dataclass(frozen=True)
class Panel:
    """All texts of a key as arrays, with the answers to them.

    Attributes:
        kind: random or natural, (texts,).
        pair: number of the pair; -1 of a reference, (texts,).
        dose: times that it is in, or would be, (texts,).
        inside: whether it is, (texts,).
        recited: whether the model recites it, (texts,).
        generated: whether that is known, (texts,).
        log_p: of the suffix, in nats; NaN where it is not known, (texts,).
        risk: forecast with both ends of its interval; NaN without one, (texts, 3).
    """

    kind: np.ndarray
    pair: Int64
    dose: Int64
    inside: Flags
    recited: Flags
    generated: Flags
    log_p: Float64
    risk: Float64

    @property
    def kinds(self) -> list[str]:
        """The kinds that there are."""
        return sorted(set(self.kind.tolist()))

    @property
    def doses(self) -> list[int]:
        """The doses of pairs, ascending."""
        return sorted(set(self.dose[self.pair >= 0].tolist()))


def panel_of(key: Key, answers: Answers) -> Panel:
    """Return a key with the answers to it."""
    texts = key.canaries
    none = float("nan")
    risk = [
        [none if value is None else value for value in (one.risk, one.risk_low, one.risk_high)]
        for one in texts
    ]
    return Panel(
        np.array([one.kind for one in texts], object),
        np.array([one.pair for one in texts], np.int64),
        np.array([one.dose for one in texts], np.int64),
        np.array([one.inside for one in texts], np.bool_),
        np.array([answers.recited.get(one.id, False) for one in texts], np.bool_),
        np.array([one.id in answers.recited for one in texts], np.bool_),
        np.array([answers.log_p.get(one.id, none) for one in texts], np.float64),
        np.array(risk, np.float64).reshape(-1, 3),
    )


def extraction(of: Panel) -> list[dict[str, Any]]:
    """Return how many canaries are recited, by kind and dose; dose 0 is of the twins outside."""
    found = []
    for kind in of.kinds:
        for dose in (0, *of.doses):
            own = (of.kind == kind) & (of.pair >= 0) & of.generated
            own &= ~of.inside if dose == 0 else of.inside & (of.dose == dose)
            count, hits = int(own.sum()), int(of.recited[own].sum())
            if count:
                low, high = wilson(hits, count)
                found.append(
                    {
                        "kind": kind,
                        "dose": dose,
                        "canaries": count,
                        "recited": hits,
                        "share": hits / count,
                        "share_95": [low, high],
                    }
                )
    return found


def exposures(of: Panel) -> list[dict[str, Any]]:
    """Return the mean exposure by kind and dose, in bits, among the texts that stayed outside.

    `untrained` is the mean of a text that was not learnt: every rank is as likely as another.
    """
    found = []
    for kind in of.kinds:
        outside = (of.kind == kind) & ~of.inside & np.isfinite(of.log_p)
        references = of.log_p[outside]
        most = float(np.log2(len(references) + 1))
        ranks = np.arange(1, len(references) + 2)
        inside = (of.kind == kind) & of.inside & np.isfinite(of.log_p)
        draws = list(_exposure_draws(of, inside, outside)) if inside.any() else []
        for dose in (0, *of.doses):
            own = inside & ((of.dose == dose) if dose else True)
            if own.any() and len(references):
                bits = np.array([exposure(-x, -references) for x in of.log_p[own].tolist()])
                found.append(
                    {
                        "kind": kind,
                        "dose": dose,
                        "canaries": len(bits),
                        "references": len(references),
                        "bits": float(bits.mean()),
                        "bits_95": _bounds(_means(draws, own[inside])),
                        "most_bits": most,
                        "untrained_bits": most - float(np.log2(ranks).mean()),
                    }
                )
    return found


def _exposure_draws(of: Panel, inside: Flags, outside: Flags) -> Iterator[tuple[Float64, Float64]]:
    """Yield exposures in draws of pairs and references, and how often each canary is drawn.

    Both are (draws, inside), a block of draws at a time.
    """
    unit = _units(of)
    above = (of.log_p[outside][None, :] > of.log_p[inside][:, None]).astype(np.float64)
    for times in _draws(unit):
        drawn = times[:, unit[outside]]
        most = np.log2(drawn.sum(axis=1) + 1.0)[:, None]
        yield most - np.log2(1.0 + drawn @ above.T), times[:, unit[inside]]


def _means(draws: Sequence[tuple[Float64, Float64]], own: Flags) -> Float64:
    """Return the weighted mean of some columns in each draw that has any of them, (draws,)."""
    found = []
    for values, times in draws:
        weight = times[:, own]
        total = weight.sum(axis=1)
        mean = (values[:, own] * weight).sum(axis=1) / np.maximum(total, 1.0)
        found.append(mean[total > 0])
    return np.concatenate(found)


def recognition(of: Panel) -> list[dict[str, Any]]:
    """Return how well log p tells canaries from the twins outside, by dose; dose 0 is of all.

    The area under the curve within each kind, since kinds differ in how probable they are, and its
    mean over canaries.
    """
    found = []
    known = np.isfinite(of.log_p) & (of.pair >= 0)
    for dose in (0, *of.doses):
        own = known & of.inside & ((of.dose == dose) if dose else True)
        outside = known & ~of.inside
        kinds = [k for k in of.kinds if own[of.kind == k].any() and outside[of.kind == k].any()]
        own &= np.isin(of.kind, np.array(kinds, object))
        if kinds:
            value, low, high = _auc(of, own, outside)
            found.append(
                {"dose": dose, "canaries": int(own.sum()), "auc": value, "auc_95": [low, high]}
            )
    return found


def _auc(of: Panel, own: Flags, outside: Flags) -> tuple[float, float, float]:
    """Return the area and both ends of its interval over pairs."""
    same = (of.kind[own][:, None] == of.kind[outside][None, :]).astype(np.float64)
    apart = of.log_p[own][:, None] - of.log_p[outside][None, :]
    wins = same * ((apart > 0) + 0.5 * (apart == 0))
    value = float((wins.sum(axis=1) / same.sum(axis=1)).mean())
    unit, areas = _units(of), []
    for times in _draws(unit):
        weight, drawn = times[:, unit[own]], times[:, unit[outside]]
        total = drawn @ same.T
        weight = weight * (total > 0)
        area = (drawn @ wins.T) / np.maximum(total, 1.0)
        enough = weight.sum(axis=1) > 0
        areas.append(((area * weight).sum(axis=1)[enough]) / weight.sum(axis=1)[enough])
    low, high = _bounds(np.concatenate(areas))
    return value, low, high


def preferred(of: Panel) -> dict[str, Any] | None:
    """Return in how many pairs the text inside is the more probable one, and the chance of that.

    Without any trace of the training it is a fair coin's: p is exact, and needs nothing else.
    """
    inside, outside = _of_pairs(of)
    apart = of.log_p[inside] - of.log_p[outside]
    apart = apart[np.isfinite(apart) & (apart != 0)]
    if not len(apart):
        return None
    wins = int((apart > 0).sum())
    return {
        "pairs": len(apart),
        "inside_more_probable": wins,
        "p": float(binom.sf(wins - 1, len(apart), 0.5)),
    }


def calibration(of: Panel) -> dict[str, Any] | None:
    """Return the forecast beside the truth, over all canaries inside and by dose; None without one.

    `expected_95` is the mean of the canaries' own ends: what is not known of a target moves all of
    them together. `drawn_95` is also that so few canaries are counted.
    """
    own = of.inside & of.generated & np.isfinite(of.risk[:, 0])
    if not own.any():
        return None
    by_dose = [
        {"dose": dose, **_shares(of, own & (of.dose == dose))}
        for dose in of.doses
        if (own & (of.dose == dose)).any()
    ]
    return {**_shares(of, own), **_scores(of, own), "by_dose": by_dose}


def _shares(of: Panel, own: Flags) -> dict[str, Any]:
    """Return expected and observed shares of some canaries."""
    risk, truth = of.risk[own], of.recited[own]
    low, high = risk[:, 1].mean(), risk[:, 2].mean()
    least, most = _bounds(_drawn_shares(risk))
    observed = float(truth.mean())
    return {
        "canaries": len(truth),
        "expected": float(risk[:, 0].mean()),
        "expected_95": [float(low), float(high)],
        "drawn_95": [least, most],
        "recited": int(truth.sum()),
        "observed": observed,
        "observed_95": list(wilson(int(truth.sum()), len(truth))),
        "holds": bool(least <= observed <= most),
    }


def _drawn_shares(risk: Float64) -> Float64:
    """Return the share recited in futures that move all log odds together, (draws,).

    Each half of an interval is a half of a normal distribution.
    """
    random = np.random.Generator(np.random.PCG64([SEED, len(risk)]))
    centre, low, high = logit(risk.clip(LEAST_RISK, 1 - LEAST_RISK)).T
    step = random.standard_normal(DRAWS)[:, None] / Z
    odds = centre + np.where(step < 0, step * (centre - low), step * (high - centre))
    return np.asarray((random.random(odds.shape) < expit(odds)).mean(axis=1))


def _scores(of: Panel, own: Flags) -> dict[str, Any]:
    """Return the Brier score, that of the base rate, and the error in the large, over pairs."""
    risk, truth = of.risk[own, 0], of.recited[own].astype(np.float64)
    unit = _units(of)
    briers, errors = [], []
    for times in _draws(unit):
        weight = times[:, unit[own]]
        weight = weight[weight.sum(axis=1) > 0]
        total = weight.sum(axis=1)
        briers.append(weight @ (risk - truth) ** 2 / total)
        errors.append(weight @ (risk - truth) / total)
    base = float(truth.mean())
    return {
        "brier": float(((risk - truth) ** 2).mean()),
        "brier_95": _bounds(np.concatenate(briers)),
        "brier_of_base_rate": base * (1 - base),
        "expected_less_observed": float((risk - truth).mean()),
        "expected_less_observed_95": _bounds(np.concatenate(errors)),
    }


def _of_pairs(of: Panel) -> tuple[Int64, Int64]:
    """Return the places of the text inside, and of its twin, of each pair, (pairs,) each."""
    inside, outside = (np.flatnonzero((of.pair >= 0) & side) for side in (of.inside, ~of.inside))
    return inside[np.argsort(of.pair[inside])], outside[np.argsort(of.pair[outside])]


def _units(of: Panel) -> Int64:
    """Return what is drawn as one: a pair, or a reference by itself, (texts,)."""
    pairs = int(of.pair.max(initial=-1)) + 1
    alone = np.cumsum(of.pair < 0) - 1
    return np.asarray(np.where(of.pair >= 0, of.pair, pairs + alone))


def _draws(unit: Int64) -> Iterator[Float64]:
    return times_drawn(int(unit.max(initial=-1)) + 1, DRAWS, SEED)


def _bounds(values: Float64) -> list[float]:
    low, high = np.quantile(values, ENDS)
    return [float(low), float(high)]
