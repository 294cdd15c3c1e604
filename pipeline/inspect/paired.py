"""Pair what two models recite: both, one, neither; by source and count; McNemar by families."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from pipeline.engine.tables import Row
from pipeline.inspect.prompted import gain
from pipeline.inspect.two_models import TwoModels
from pipeline.text.arrays import Flags

MOST_SOURCES = 20


@dataclass(frozen=True)
class Pairing:
    """How often two models recite the same.

    Attributes:
        both: sequences that both recite.
        only_first: that only the first does.
        only_second: that only the second does.
        neither: that neither does.
        families_only_first: families of which only the first recites any.
        families_only_second: likewise of the second.
        p: two-sided, that these two come of one chance (McNemar 1947, exact).
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    families_only_first: int
    families_only_second: int
    p: float


def pairing(first: Flags, second: Flags, family: np.ndarray) -> Pairing:
    """Return how often two models recite the same.

    Args:
        first: whether the first recites each, (sequences,).
        second: likewise.
        family: of each, (sequences,): families are paired, since sequences of one go together.
    """
    _, number = np.unique(family, return_inverse=True)
    size = int(number.max(initial=-1)) + 1
    one, other = (np.bincount(number, weights=part, minlength=size) > 0 for part in (first, second))
    only = int((one & ~other).sum()), int((other & ~one).sum())
    p = float(binomtest(min(only), sum(only)).pvalue) if sum(only) else 1.0
    return Pairing(
        int((first & second).sum()),
        int((first & ~second).sum()),
        int((second & ~first).sum()),
        int((~first & ~second).sum()),
        *only,
        p,
    )


def strata(of: TwoModels) -> Iterator[tuple[str, str, Flags]]:
    """Yield kind, name and rows: all, each number of occurrences, each of the largest sources."""
    rows = len(of.panel)
    yield "all", "all", np.ones(rows, np.bool_)
    count = np.maximum(of.panel["sequence_count"].to_numpy(), 1)
    level = np.floor(np.log2(count)).astype(np.int64)
    for number in np.unique(level).tolist():
        low, high = 2**number, 2 ** (number + 1) - 1
        yield "occurrences", str(low) if low == high else f"{low} to {high}", level == number
    source = np.array(of.panel["source_group"].to_pylist(), object)
    names, sizes = np.unique(source.astype(str), return_counts=True)
    for name in names[np.argsort(-sizes, kind="stable")][:MOST_SOURCES].tolist():
        yield "source", name, source.astype(str) == name


def table(of: TwoModels) -> list[Row]:
    """Return a row for each stratum, exactly and nearly recited."""
    family = np.array(of.panel["family"].to_pylist(), object).astype(str)
    return [
        {
            "kind": kind,
            "of": name,
            "recited": how,
            "sequences": int(inside.sum()),
            **vars(pairing(first[inside], second[inside], family[inside])),
        }
        for kind, name, inside in strata(of)
        for how, first, second in (
            ("exactly", of.first.exact, of.second.exact),
            ("nearly", of.first.nearly, of.second.nearly),
        )
    ]


def prompt_rows(of: TwoModels) -> list[Row]:
    """Return a row for each model: what prompts of a file gain over prefixes; none without them."""
    if of.asked is None:
        return []
    family = np.array(of.panel["family"].to_pylist(), object).astype(str)[of.asked.row]
    rows = []
    for model, one in (("A", of.first), ("B", of.second)):
        if one.elicited is not None:
            more, *ends = gain(one.elicited, family)
            rows.append(
                {
                    "model": model,
                    "prompts": len(family),
                    "families": len(np.unique(family)),
                    "by_prefix": int(one.elicited.by_prefix.sum()),
                    "by_prompt": int(one.elicited.by_prompt.sum()),
                    "score_prefix": float(one.elicited.score_prefix.mean()),
                    "score_prompt": float(one.elicited.score_prompt.mean()),
                    "gain": more,
                    "gain_95": ends,
                }
            )
    return rows
