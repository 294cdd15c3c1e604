"""Cases of the forecast: features of a sequence, whether a proxy of some size memorized it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.score.forecast.logistic import Cases
from pipeline.score.sequences.proxy_statistics import proxy_statistics
from pipeline.score.slices import SUFFIX
from pipeline.text.arrays import Flags, Float64, Int64

# Tried and left out, since families left out of the fit gained nothing by them: rank, run length,
# Min-K% and Min-K%++ of the suffix, window count; figures in docs/LOG.md, 2026-11-28.
UNSEEN = (
    "log dose",
    "log effective dose",
    "log suffix dose",
    "log rarest dose",
    "log size",
    "log tokens",
    "log p per token",
    "compressibility",
    "log continuation share",
    "suffix order",
    "planted",
    "log planted dose",
)
SEEN = (*UNSEEN, "log p by the smaller", "least margin", "log size ratio")
DOSES = UNSEEN[:4]
LEAST_SHARE = 1e-3  # of a prefix's occurrences, for its logarithm
MOST_MARGIN = 10.0  # nats; a larger lead says nothing more
STATISTICS = ("seen", "log_p_z", "memorized", "margin")


@dataclass(frozen=True)
class Seen:
    """The statistics of one proxy for every sequence; NaN, and False, where it did not score it.

    Attributes:
        name: of the proxy.
        role: see `pipeline.score.proxy.ensemble.Proxy`.
        parameters: non-embedding parameters of the proxy.
        tokens: trained on in all, repeats included.
        dose: times it was trained on each sequence, (sequences,).
        log_p: log probability of the suffix given the prefix, in nats, (sequences,).
        memorized: whether every suffix token is the arg-max, (sequences,).
        margin: least lead of a suffix token over the best other one, in nats, (sequences,).
    """

    name: str
    role: str
    parameters: int
    tokens: int
    dose: Float64
    log_p: Float64
    memorized: Flags
    margin: Float64

    @property
    def taught(self) -> Flags:
        """Which sequences it was trained on (and scored), (sequences,)."""
        return np.asarray(self.dose > 0)


@dataclass(frozen=True)
class ScoredPanel:
    """The scored sequences as arrays, with the statistics of each proxy; plants come last.

    Attributes:
        count: exact occurrences in the corpus, of a plant in an epoch's rows, (sequences,).
        effective: effective count of the document, in exact copies, (sequences,).
        suffix: exact occurrences of the suffix, (sequences,).
        rarest: exact occurrences of the rarest words of the suffix, (sequences,).
        weight: sequences of the corpus that each stands for; 0 of a plant, (sequences,).
        compressed: bits per byte by zlib, (sequences,).
        continued: share of the occurrences of the prefix that the suffix follows, (sequences,).
        entropy: of the suffix's tokens, in bits per token, (sequences,).
        planted: whether it is a plant, (sequences,).
        family: number of the family, or of the plant's cluster, (sequences,).
        proxies: the statistics, in the order of the run's list of proxies.
    """

    count: Float64
    effective: Float64
    suffix: Float64
    rarest: Float64
    weight: Float64
    compressed: Float64
    continued: Float64
    entropy: Float64
    planted: Flags
    family: Int64
    proxies: tuple[Seen, ...]

    def of_role(self, role: str) -> list[Seen]:
        """Return the proxies of a role, smallest first."""
        return [proxy for proxy in self.proxies if proxy.role == role]

    @property
    def top(self) -> Seen:
        """The largest proxy of those that were trained on all of the sample."""
        return self.of_role("ladder")[-1]

    @property
    def natural(self) -> Flags:
        """Which are sequences of the corpus, (sequences,)."""
        return ~self.planted


def read_panel(
    table: pa.Table, proxies: Sequence[Mapping[str, Any]], plants: pa.Table
) -> ScoredPanel:
    """Return the panel of a `sequences` table and the plants of the same training.

    Args:
        table: the table.
        proxies: name, role, parameters and tokens of each proxy.
        plants: the table `plants`.
    """

    def both(of_sequence: str, of_plant: str | None = None) -> Float64:
        columns = table[of_sequence], plants[of_plant or of_sequence]
        return np.concatenate([column.to_numpy().astype(np.float64) for column in columns])

    family = pc.dictionary_encode(table["family"].combine_chunks())
    family = family.combine_chunks() if isinstance(family, pa.ChunkedArray) else family
    numbers = family.indices.to_numpy().astype(np.int64)
    after = int(numbers.max(initial=-1)) + 1
    weight = np.concatenate((table["weight"].to_numpy(), np.zeros(plants.num_rows)))
    return ScoredPanel(
        both("sequence_count", "copies"),
        both("effective_count"),
        both("suffix_count"),
        both("rarest_count"),
        weight,
        both("zlib_bits_per_byte"),
        both("continuation_share"),
        both("suffix_entropy_bits"),
        np.arange(len(weight)) >= table.num_rows,
        np.concatenate((numbers, after + plants["cluster"].to_numpy())),
        tuple(_seen(table, plants, proxy) for proxy in proxies),
    )


def _seen(table: pa.Table, plants: pa.Table, proxy: Mapping[str, Any]) -> Seen:
    """Return the statistics of one proxy."""
    name = proxy["proxy"]
    parts = [proxy_statistics(rows, name, STATISTICS) for rows in (table, plants)]
    values = {key: np.concatenate([part[key] for part in parts]) for key in STATISTICS}
    return Seen(
        name,
        proxy["role"],
        proxy["parameters"],
        proxy["tokens"],
        values["seen"],
        values["log_p_z"],
        values["memorized"] == 1,
        values["margin"],
    )


def unseen_cases(panel: ScoredPanel) -> Cases:
    """Return a case for each sequence and each proxy that saw it, if a cross-fit proxy did not.

    Without a cross-fit pair, beside loaded proxies, of each sequence that a proxy saw.

    The halves are among the proxies that label: they were taught the same doses among half as many
    tokens, which is how the effect of tokens is known.
    """
    guessed = _guessed(panel)
    parts = []
    for proxy in panel.proxies:
        rows = np.flatnonzero(proxy.taught & guessed)
        inputs = unseen_features(panel, proxy.dose, proxy.parameters, proxy.tokens)[rows]
        parts.append(_part(panel, rows, inputs, proxy, proxy is panel.top))
    return _joined(parts, len(UNSEEN))


def seen_cases(panel: ScoredPanel) -> Cases:
    """Return a case for each sequence that two proxies saw and each ordered pair of their sizes.

    The smaller one of a pair is a ladder proxy after all epochs, as that of the target's forecast
    is.
    """
    parts = []
    ladder = panel.of_role("ladder")
    below = [one for one in ladder if one.parameters < panel.top.parameters] if ladder else []
    for small in ladder:
        for large in panel.proxies:
            if small.parameters >= large.parameters:
                continue
            rows = np.flatnonzero(small.taught & large.taught & _guessed(panel))
            inputs = seen_features(panel, small, large.dose, large.parameters, large.tokens)[rows]
            top = bool(below) and small is below[-1] and large is panel.top
            parts.append(_part(panel, rows, inputs, large, top))
    return _joined(parts, len(SEEN))


def unseen_features(panel: ScoredPanel, dose: Float64, parameters: float, tokens: float) -> Float64:
    """Return the features UNSEEN of every sequence, (sequences, features).

    Effective, suffix and rarest counts are of the corpus; a model that sees only some of a
    sequence's occurrences, or each of them several times, is taken to see the others in the same
    proportion. Sizes and tokens are relative to the largest proxy's.

    Args:
        panel: the scored sequences.
        dose: times that the model sees each sequence, (sequences,).
        parameters: the model's, without embeddings.
        tokens: that it is trained on.
    """
    times = dose / panel.count
    counts = (panel.count, panel.effective, panel.suffix, panel.rarest)
    doses = [np.log(np.maximum(count * times, 1.0)) for count in counts]
    outside = outside_log_p(panel)
    known = np.nan_to_num(outside, nan=_middle(outside)) / SUFFIX
    ones = np.ones(len(dose))
    return np.column_stack(
        (
            *doses,
            ones * np.log(parameters / panel.top.parameters),
            ones * np.log(panel.top.tokens / tokens),
            known,
            -panel.compressed,
            np.log(np.maximum(panel.continued, LEAST_SHARE)),
            -panel.entropy,
            panel.planted,
            panel.planted * doses[0],
        )
    )


def seen_features(
    panel: ScoredPanel, proxy: Seen, dose: Float64, parameters: float, tokens: float
) -> Float64:
    """Return the features SEEN of every sequence, (sequences, features).

    Args:
        panel: the scored sequences.
        proxy: the smaller model, whose statistics are features.
        dose: times that the other model sees each sequence, (sequences,).
        parameters: the other model's, without embeddings.
        tokens: that it is trained on.
    """
    margin = np.clip(proxy.margin, -MOST_MARGIN, MOST_MARGIN)
    ratio = np.full(len(dose), np.log(parameters / proxy.parameters))
    features = unseen_features(panel, dose, parameters, tokens)
    return np.column_stack((features, proxy.log_p / SUFFIX, margin, ratio))


def _guessed(panel: ScoredPanel) -> Flags:
    """Return of which sequences it is known how easily they are guessed, (sequences,)."""
    if len(panel.of_role("half")) < 2:
        return np.ones(len(panel.count), np.bool_)
    return np.isfinite(outside_log_p(panel))


def _middle(outside: Float64) -> float:
    """Return the mean of what is known; 0 where nothing is."""
    known = outside[np.isfinite(outside)]
    return float(known.mean()) if len(known) else 0.0


def outside_log_p(panel: ScoredPanel) -> Float64:
    """Return log p_z by the cross-fit proxy that did not see a sequence, in nats, (sequences,).

    The mean of both where neither saw it, NaN where both did.
    """
    halves = panel.of_role("half")
    if len(halves) < 2:
        return np.full(len(panel.count), np.nan)
    values = np.stack([np.where(half.taught, np.nan, half.log_p) for half in halves])
    count = np.isfinite(values).sum(0)
    total = np.where(np.isfinite(values), values, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _part(panel: ScoredPanel, rows: Int64, inputs: Float64, proxy: Seen, top: bool) -> Cases:
    """Return the cases that one proxy labels."""
    count = len(rows)
    return Cases(
        inputs,
        proxy.memorized[rows],
        panel.family[rows],
        np.full(count, panel.proxies.index(proxy)),
        np.full(count, top),
    )


def _joined(parts: list[Cases], features: int) -> Cases:
    """Return the cases of all proxies."""
    return Cases(
        np.concatenate([np.zeros((0, features)), *(part.features for part in parts)]),
        np.concatenate([np.zeros(0, np.bool_), *(part.label for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.family for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.rung for part in parts)]),
        np.concatenate([np.zeros(0, np.bool_), *(part.top for part in parts)]),
    )
