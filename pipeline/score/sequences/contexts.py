"""The length of prefix that a proxy needs: the suffix again after 4, 8, 16 and 32 tokens of it.

The same suffixes at each length, of sequences that the proxies were trained on (Carlini et al.
2023, section 4.3, vary the prompt likewise). Each is scored after EOS and the last tokens of its
prefix. A proxy is trained on 64 tokens, so longer contexts than the prefix are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipeline.score.proxy.ensemble import Proxy, score_all
from pipeline.score.proxy.pool import WorkerPool
from pipeline.score.sequences.sampling import strata
from pipeline.score.slices import PREFIX
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.hashing import keyed_hash
from schemas.score.contexts import CONTEXTS

PREFIXES = (4, 8, 16, PREFIX)
PER_LEVEL = 64  # sequences of a power of two of the dose


@dataclass(frozen=True)
class TrainedSequences:
    """Sequences that were scored, with how often proxies were trained on them.

    Attributes:
        row_key: of the document, (sequences,).
        start_token: first token in the document, (sequences,).
        family: names, (sequences,).
        tokens: EOS and the sequence, (sequences, 65).
        dose: times each proxy was trained on it, (sequences, proxies).
    """

    row_key: Uint64
    start_token: Int64
    family: pa.Array
    tokens: Int64  # (sequences, 65)
    dose: Int64  # (sequences, proxies)


def contexts(of: TrainedSequences, proxies: Sequence[Proxy], pool: WorkerPool) -> pa.Table:
    """Return the rows of `contexts` for the proxies of the ladder.

    Args:
        of: the sequences; their dose has a column for each proxy.
        proxies: the ladder.
        pool: the threads that score.
    """
    chosen = _panel(of)
    jobs = [(place, prefix) for place in range(len(proxies)) for prefix in PREFIXES]
    named = [replace(proxies[place], name=f"{proxies[place].name}-prefix-{n}") for place, n in jobs]
    shorter = [_shortened(of.tokens[chosen], n) for _, n in jobs]
    found = score_all(named, shorter, pool, "scoring after shorter prefixes")
    parts = [
        pa.table(
            {
                "row_key": of.row_key[chosen],
                "start_token": of.start_token[chosen],
                "family": of.family.take(pa.array(chosen)),
                "proxy": pa.array([proxies[place].name] * len(chosen), pa.string()),
                "seen": of.dose[chosen, place],
                "prefix_tokens": np.full(len(chosen), prefix),
                "memorized": values["memorized"],
                "log_p_z": values["log_p_z"],
            }
        )
        for (place, prefix), values in zip(jobs, found, strict=True)
    ]
    return pa.concat_tables(parts) if parts else CONTEXTS.empty_table()


def _panel(of: TrainedSequences) -> Int64:
    """Return sequences that every proxy was trained on, as many of each power of two, by hash."""
    rows = np.flatnonzero((of.dose > 0).all(axis=1)) if of.dose.size else np.zeros(0, np.int64)
    order = rows[np.argsort(keyed_hash(_key(of.tokens[rows]), 1), kind="stable")]
    level = strata(of.dose[order].max(axis=1).astype(np.float64)) if len(order) else order
    taken = [order[level == number][:PER_LEVEL] for number in np.unique(level).tolist()]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *taken]))


def _key(tokens: Int64) -> Uint64:
    """Return a hash of each row of tokens, which no name of a shard enters, (rows,)."""
    key = np.zeros(len(tokens), np.uint64)
    for column in tokens.T:
        key = keyed_hash(key ^ column.astype(np.uint64), 2)
    return key


def _shortened(tokens: Int64, prefix: int) -> Int64:
    """Return EOS, the last tokens of the prefix and the suffix, (rows, 33 + prefix)."""
    return np.concatenate((tokens[:, :1], tokens[:, 1 + PREFIX - prefix :]), axis=1)
