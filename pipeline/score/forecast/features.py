"""Cases of the risk model: features of one proxy, labels of another, of the scored sequences."""

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

# Tried and left out, since families left out of the fit gained nothing by them: entropy, rank, run
# length, Min-K% and Min-K%++ of the suffix, window count; figures in docs/LOG.md, 2026-11-28.
UNSEEN = (
    "log dose",
    "log effective dose",
    "log suffix dose",
    "log p per token",
    "log size ratio",
    "compressibility",
    "log continuation share",
)
SEEN = (*UNSEEN, "log dose ratio", "least margin")
LEAST_SHARE = 1e-3  # of a prefix's occurrences, for its logarithm
MOST_MARGIN = 10.0  # nats; a larger lead says nothing more


@dataclass(frozen=True)
class Seen:
    """The statistics of one proxy for every sequence; NaN, and False, where it did not score it.

    Attributes:
        name: of the proxy.
        role: see `pipeline.score.proxy.ensemble.Proxy`.
        parameters: non-embedding parameters of the proxy.
        dose: times it was trained on each sequence, (sequences,).
        log_p: log probability of the suffix given the prefix, in nats, (sequences,).
        memorized: whether every suffix token is the arg-max, (sequences,).
        margin: least lead of a suffix token over the best other one, in nats, (sequences,).
    """

    name: str
    role: str
    parameters: int
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
    """The scored sequences as arrays, with the statistics of each proxy.

    Attributes:
        count: exact occurrences in the corpus, (sequences,).
        effective: effective count of the document, in exact copies, (sequences,).
        suffix: exact occurrences of the suffix, (sequences,).
        weight: sequences of the corpus that each stands for, (sequences,).
        compressed: bits per byte by zlib, (sequences,).
        continued: share of the occurrences of the prefix that the suffix follows, (sequences,).
        family: number of the family, (sequences,).
        proxies: the statistics, in the order of the run's list of proxies.
    """

    count: Float64
    effective: Float64
    suffix: Float64
    weight: Float64
    compressed: Float64
    continued: Float64
    family: Int64
    proxies: tuple[Seen, ...]

    def of_role(self, role: str) -> list[Seen]:
        """Return the proxies of a role, smallest first."""
        return [proxy for proxy in self.proxies if proxy.role == role]

    @property
    def top(self) -> Seen:
        """The largest proxy of those that were trained on all of the sample."""
        return self.of_role("ladder")[-1]


def read_panel(table: pa.Table, proxies: Sequence[Mapping[str, Any]]) -> ScoredPanel:
    """Return the panel of a `sequences` table.

    Args:
        table: the table.
        proxies: name, role and parameters of each proxy.
    """
    seen = []
    for proxy in proxies:
        values = proxy_statistics(table, proxy["proxy"], ("seen", "log_p_z", "memorized", "margin"))
        seen.append(
            Seen(
                proxy["proxy"],
                proxy["role"],
                proxy["parameters"],
                values["seen"],
                values["log_p_z"],
                values["memorized"] == 1,
                values["margin"],
            )
        )
    family = pc.dictionary_encode(table["family"].combine_chunks())
    family = family.combine_chunks() if isinstance(family, pa.ChunkedArray) else family
    return ScoredPanel(
        table["sequence_count"].to_numpy().astype(np.float64),
        table["effective_count"].to_numpy(),
        table["suffix_count"].to_numpy().astype(np.float64),
        table["weight"].to_numpy(),
        table["zlib_bits_per_byte"].to_numpy().astype(np.float64),
        table["continuation_share"].to_numpy().astype(np.float64),
        family.indices.to_numpy().astype(np.int64),
        tuple(seen),
    )


def seen_cases(panel: ScoredPanel) -> Cases:
    """Return a case for each sequence that two proxies saw and each ordered pair of their sizes.

    The features are of a proxy after all epochs, as those of the target's forecast are; the larger
    one after one epoch too, so that the dose varies apart from them. (With proxies after one epoch
    as the smaller ones the fit was worse: they know almost nothing yet.)
    """
    parts = []
    sizes = [proxy.parameters for proxy in panel.of_role("ladder")]
    for small in panel.of_role("ladder"):
        for large in panel.proxies:
            if large.role == "half" or small.parameters >= large.parameters:
                continue
            rows = np.flatnonzero(small.taught & large.taught)
            ratio = large.parameters / small.parameters
            inputs = seen_features(panel, small, large.dose, ratio)[rows]
            top = small is panel.of_role("ladder")[-2] and large is panel.top
            parts.append(_part(panel, rows, inputs, large, sizes, top))
    return _joined(parts, len(SEEN))


def unseen_cases(panel: ScoredPanel) -> Cases:
    """Return a case for each sequence that one cross-fit proxy alone saw and each ladder proxy."""
    parts = []
    sizes = [proxy.parameters for proxy in panel.of_role("ladder")]
    for large in panel.proxies:
        if large.role == "half":
            continue
        outside = outside_log_p(panel)
        rows = np.flatnonzero(large.taught & np.isfinite(outside) & _split(panel))
        inputs = unseen_features(panel, large.dose, large.parameters / _half_size(panel))[rows]
        parts.append(_part(panel, rows, inputs, large, sizes, large is panel.top))
    return _joined(parts, len(UNSEEN))


def seen_features(panel: ScoredPanel, proxy: Seen, dose: Float64, ratio: float) -> Float64:
    """Return the features SEEN of every sequence, (sequences, features).

    Args:
        panel: the scored sequences.
        proxy: whose statistics they are made of.
        dose: times that the other model sees each sequence, (sequences,).
        ratio: size of the other model over that of the proxy.
    """
    times = np.where(proxy.taught, dose / np.maximum(proxy.dose, 1.0), 1.0)
    margin = np.clip(proxy.margin, -MOST_MARGIN, MOST_MARGIN)
    return np.column_stack((_features(panel, dose, proxy.log_p, ratio), np.log(times), margin))


def unseen_features(panel: ScoredPanel, dose: Float64, ratio: float) -> Float64:
    """Return the features UNSEEN of every sequence, (sequences, features).

    Args:
        panel: the scored sequences.
        dose: times that the model sees each sequence, (sequences,).
        ratio: its size over that of a cross-fit proxy.
    """
    return _features(panel, dose, outside_log_p(panel), ratio)


def _features(panel: ScoredPanel, dose: Float64, log_p: Float64, ratio: float) -> Float64:
    """Return the features that both kinds of case share, (sequences, features).

    Effective and suffix counts are of the corpus; a model that sees only some of a sequence's
    occurrences, or each of them several times, is taken to see its near copies and its suffix
    elsewhere in the same proportion.
    """
    times = dose / panel.count
    doses = (
        np.log(np.maximum(of * times, 1.0)) for of in (panel.count, panel.effective, panel.suffix)
    )
    size = np.full(len(dose), np.log(ratio))
    continued = np.log(np.maximum(panel.continued, LEAST_SHARE))
    return np.column_stack((*doses, log_p / SUFFIX, size, -panel.compressed, continued))


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


def _split(panel: ScoredPanel) -> Flags:
    """Return which sequences one cross-fit proxy alone was trained on, (sequences,)."""
    halves = panel.of_role("half")
    if len(halves) < 2:
        return np.zeros(len(panel.count), np.bool_)
    return np.asarray(halves[0].taught != halves[1].taught)


def _half_size(panel: ScoredPanel) -> int:
    """Return the parameters of a cross-fit proxy; 1 without one."""
    return next((half.parameters for half in panel.of_role("half")), 1)


def _part(
    panel: ScoredPanel, rows: Int64, inputs: Float64, large: Seen, sizes: list[int], top: bool
) -> Cases:
    """Return the cases of one pair of proxies."""
    count = len(rows)
    return Cases(
        inputs,
        large.memorized[rows],
        panel.family[rows],
        np.full(count, sizes.index(large.parameters)),
        np.full(count, top),
    )


def _joined(parts: list[Cases], features: int) -> Cases:
    """Return the cases of all pairs."""
    return Cases(
        np.concatenate([np.zeros((0, features)), *(part.features for part in parts)]),
        np.concatenate([np.zeros(0, np.bool_), *(part.label for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.family for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.rung for part in parts)]),
        np.concatenate([np.zeros(0, np.bool_), *(part.top for part in parts)]),
    )
