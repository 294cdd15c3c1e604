"""Dose, size and context curves of the run's own proxies, with intervals.

Carlini et al. 2023 found memorization to grow log-linearly in the times a text is repeated, in the
size of the model and in the length of the prompt (section 4). Here each is measured on the proxies
of this corpus: shares by powers of two of the dose, their mean over doses by size, and a logistic
curve of the log dose. Families are the independent units: every interval is a bootstrap over them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.score.forecast.bootstrap import each_draw, times_drawn
from pipeline.score.forecast.features import ScoredPanel, Seen
from pipeline.score.forecast.logistic import DRAWS, Cases, Prior, fit
from pipeline.text.arrays import Flags, Float64, Int64

BOOTSTRAPS = 1_000
# next to nothing is known of the curve of one proxy but that it does not fall
FLAT = Prior(np.array([0.0, 0.0]), np.array([20.0, 5.0]), np.array([-np.inf, 0.0]))
LEAST_FAMILIES = 5  # at a dose, for the dose to count in the curve of sizes


@dataclass(frozen=True)
class MemorizedShare:
    """A share of memorized sequences with its 95% interval over families.

    Attributes:
        sequences: how many the share is of.
        families: how many families they are of.
        share: memorized sequences over sequences.
        low: low end of the interval.
        high: high end; 3 / families where none is memorized.
    """

    sequences: int
    families: int
    share: float
    low: float
    high: float


def laws(panel: ScoredPanel, contexts: pa.Table, seed: int) -> tuple[pa.Table, dict[str, Any]]:
    """Return the points of the curves of dose, size and context, and what was fitted to them.

    Args:
        panel: the scored sequences.
        contexts: the table `contexts`.
        seed: of the bootstrap.
    """
    points = [*_doses(panel, seed), *_sizes(panel, seed), *_contexts(contexts, seed)]
    names = ("law", "proxy", "at", "sequences", "families", "share", "low", "high")
    table = pa.table({name: [point[k] for point in points] for k, name in enumerate(names)})
    ladder = panel.of_role("ladder")
    facts = {
        "dose": [_dose_law(panel, proxy, seed) for proxy in ladder],
        "size": _size_law(panel, ladder, seed),
    }
    return table, facts


def memorized_share(hit: Flags, family: Int64, seed: int) -> MemorizedShare:
    """Return the share of rows that were hit, with its interval; there is one row at least.

    Args:
        hit: of each row, (rows,).
        family: of each row, a number, (rows,).
        seed: of the bootstrap.
    """
    hits, totals = _by_family(hit, family)
    low, high = np.quantile(_bootstrapped(hits[None], totals[None], seed), (0.025, 0.975))
    if not hits.any():
        low, high = 0.0, min(1.0, 3.0 / len(totals))
    return MemorizedShare(
        len(hit), len(totals), float(hits.sum() / totals.sum()), float(low), float(high)
    )


def _by_family(hit: Flags, family: Int64) -> tuple[Float64, Float64]:
    """Return hits and rows of each family, (families,) each."""
    place = np.unique(family, return_inverse=True)[1]
    return np.bincount(place, hit).astype(np.float64), np.bincount(place).astype(np.float64)


def _bootstrapped(hits: Float64, totals: Float64, seed: int) -> Float64:
    """Return the mean of the groups' shares in each draw of whole families, (draws,).

    A group that a draw leaves empty is left out of its mean.

    Args:
        hits: memorized rows, (groups, families).
        totals: rows, (groups, families).
        seed: of the bootstrap.
    """
    means = []
    for times in times_drawn(totals.shape[1], BOOTSTRAPS, seed):
        total = times @ totals.T  # whole numbers below 2^53: exact in any order
        share = np.divide(times @ hits.T, total, out=np.zeros_like(total), where=total > 0)
        means.append(share.sum(axis=1) / np.maximum(1, (total > 0).sum(axis=1)))
    return np.concatenate(means)


def _levels(proxy: Seen) -> Iterator[tuple[float, Flags]]:
    """Yield each power of two of the dose with its rows.

    Dose 0 stands for what the proxy was never trained on.
    """
    level = np.floor(np.log2(np.maximum(proxy.dose, 1.0)))
    if not proxy.taught.all():
        yield 0.0, ~proxy.taught
    for number in np.unique(level[proxy.taught]).tolist():
        yield 2.0**number, (level == number) & proxy.taught


def _doses(panel: ScoredPanel, seed: int) -> Iterator[tuple[Any, ...]]:
    """Yield the points of the dose curve of each ladder proxy."""
    for proxy in panel.of_role("ladder"):
        for dose, rows in _levels(proxy):
            share = memorized_share(proxy.memorized[rows], panel.family[rows], seed)
            yield "dose", proxy.name, dose, *_numbers(share)


def _numbers(found: MemorizedShare) -> tuple[int, int, float, float, float]:
    return found.sequences, found.families, found.share, found.low, found.high


def _sizes(panel: ScoredPanel, seed: int) -> Iterator[tuple[Any, ...]]:
    """Yield the points of the curve of sizes, the mean of the shares over doses.

    So no dose that is common hides the others.
    """
    for proxy in panel.of_role("ladder"):
        hits, totals = _by_dose(panel, proxy)
        if not len(hits):
            continue
        shares = hits.sum(axis=1) / totals.sum(axis=1)
        low, high = np.quantile(_bootstrapped(hits, totals, seed), (0.025, 0.975))
        rows, families = int(totals.sum()), int(totals.any(axis=0).sum())
        size = float(proxy.parameters)
        yield "size", proxy.name, size, rows, families, float(shares.mean()), low, high


def _contexts(contexts: pa.Table, seed: int) -> Iterator[tuple[Any, ...]]:
    """Yield the points of the curve of prefix lengths of each proxy."""
    proxies, prefixes = contexts["proxy"].to_numpy(), contexts["prefix_tokens"].to_numpy()
    family = np.unique(contexts["family"].to_numpy(), return_inverse=True)[1]
    hit = contexts["memorized"].to_numpy()
    for proxy in sorted(set(proxies.tolist())):
        for prefix in np.unique(prefixes).tolist():
            rows = (proxies == proxy) & (prefixes == prefix)
            share = memorized_share(hit[rows], family[rows], seed)
            yield "context", proxy, float(prefix), *_numbers(share)


def _by_dose(panel: ScoredPanel, proxy: Seen) -> tuple[Float64, Float64]:
    """Return hits and rows of doses with families enough, (doses, families) each."""
    family = np.unique(panel.family, return_inverse=True)[1]
    count = int(family.max(initial=-1)) + 1
    hits, totals = [], []
    for dose, rows in _levels(proxy):
        total = np.bincount(family[rows], minlength=count)
        if dose and (total > 0).sum() >= LEAST_FAMILIES:
            totals.append(total)
            hits.append(np.bincount(family[rows], proxy.memorized[rows], count))
    shape = (-1, count)
    return np.array(hits, float).reshape(shape), np.array(totals, float).reshape(shape)


def _dose_law(panel: ScoredPanel, proxy: Seen, seed: int) -> dict[str, Any]:
    """Return the logistic curve of the log dose: its slope and the dose at which half is known."""
    rows = proxy.taught
    law: dict[str, Any] = {"proxy": proxy.name, "parameters": proxy.parameters}
    if proxy.memorized[rows].all() or not proxy.memorized[rows].any():
        return {**law, "fitted": False}
    size, none = int(rows.sum()), np.zeros(int(rows.sum()), np.int64)
    features = np.log2(proxy.dose[rows])[:, None]
    cases = Cases(features, proxy.memorized[rows], panel.family[rows], none, np.ones(size, bool))
    whole = fit(cases, FLAT)
    drawn = [
        _curve(fit(cases, FLAT, weight, whole.beta))
        for weight in each_draw(cases.family, DRAWS, seed)
    ]
    law |= {"fitted": True}
    for k, name in enumerate(("logits_per_doubling", "log2_dose_of_half")):
        values = np.array([pair[k] for pair in drawn])
        law[name] = _rounded(_curve(whole)[k])
        law[f"{name}_95"] = [
            _rounded(x) for x in np.quantile(values, (0.025, 0.975), method="nearest")
        ]
    return law


def _curve(fitted: Any) -> tuple[float, float]:  # noqa: ANN401 - a Logistic of one feature
    """Return the logits per doubling and the log2 of the dose at which half is memorized."""
    slope = fitted.slopes()[0]
    at_one = float(fitted.logit(np.zeros((1, 1)))[0])
    return slope, -at_one / slope if slope > 0 else np.inf


def _rounded(value: float) -> float | None:
    """Return a number for the facts; None for one that is not finite."""
    return round(float(value), 4) if np.isfinite(value) else None


def _size_law(panel: ScoredPanel, ladder: list[Seen], seed: int) -> dict[str, Any] | None:
    """Return the growth of the mean share over doses per tenfold parameters (least squares).

    None where all have one size, as checkpoints of one model do.
    """
    tables = [_by_dose(panel, proxy) for proxy in ladder]
    sizes = {proxy.parameters for proxy in ladder}
    if len(sizes) < 2 or not all(len(hits) for hits, _ in tables):
        return None
    log_size = np.log10([proxy.parameters for proxy in ladder])
    from_mean = log_size - log_size.mean()
    shares = [float((hits.sum(axis=1) / totals.sum(axis=1)).mean()) for hits, totals in tables]
    drawn = np.array([_bootstrapped(*pair, seed) for pair in tables])  # the same draws for each
    slope = float(from_mean @ np.array(shares) / (from_mean @ from_mean))
    slopes = np.quantile(from_mean @ drawn / (from_mean @ from_mean), (0.025, 0.975))
    return {
        "share_per_tenfold_size": round(slope, 4),
        "share_per_tenfold_size_95": [round(float(x), 4) for x in slopes],
    }
