"""What sets apart the memorized from the rest that was seen as often: length, rarity, templates.

Differences of means within levels of dose, a power of two each, joined by the precision that each
level has (n1 n0 / (n1 + n0), of memorized and not). So nothing of a difference is of the dose. It
is made of columns of `sequences` alone, so every scored run has it. Intervals are 95% of a
bootstrap over families.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.score.forecast.bootstrap import row_weights
from pipeline.score.forecast.logistic import DRAWS
from pipeline.score.probes.doses import WHOLE, levels
from pipeline.score.sequences.proxy_statistics import proxy_statistics
from pipeline.text.arrays import Flags, Float64, Int64
from schemas.score.sequences import SEQUENCES

COMPARED = {
    "document_sequences": "sequences in its document",
    "token_bits": "bits a token of the suffix",
    "rare_token_share": "rare tokens",
    "suffix_entropy_bits": "entropy of the suffix's tokens, bits",
    "template_share": "suffix tokens that copying guesses",
    "suffix_in_prefix": "3-grams of the suffix in the prefix",
    "zlib_bits_per_byte": "bits a byte compressed",
    "continuation_share": "occurrences of the prefix that go on so",
}
LEAST_FAMILIES = 5  # memorized ones, and others, at the doses compared


def same_dose(work: Work, seed: int) -> list[dict[str, Any]]:
    """Return a row for each column that is compared; none where too few families are memorized.

    Args:
        work: the unit of work of the probes.
        seed: of the bootstrap.
    """
    about = next(path for path in work.paths("models") if path.name == "proxies.json")
    proxies = json.loads(about.read_bytes())["proxies"]
    whole = [proxy for proxy in proxies if proxy["role"] in WHOLE]
    wanted = [*COMPARED, "sequence_count", "family", "proxies"]
    table = read_table(work.paths("sequences"), SEQUENCES, wanted)
    if not whole or not table.num_rows:
        return []
    found = proxy_statistics(table, whole[-1]["proxy"], ("memorized", "seen"))
    loaded = whole[-1]["role"] == "loaded"
    dose = table["sequence_count"].to_numpy() if loaded else np.nan_to_num(found["seen"])
    inside = dose > 0
    return contrasts(
        table.filter(pa.array(inside)),
        dose[inside].astype(np.int64),
        found["memorized"][inside] > 0,
        seed,
    )


def contrasts(table: pa.Table, dose: Int64, memorized: Flags, seed: int) -> list[dict[str, Any]]:
    """Return the rows of some sequences.

    Args:
        table: the columns compared, and the family.
        dose: times that the model saw each, (sequences,).
        memorized: whether it recites it, (sequences,).
        seed: of the bootstrap.
    """
    level = levels(dose)
    shared = np.isin(level, np.intersect1d(level[memorized], level[~memorized]))
    table = table.filter(pa.array(shared))
    level, memorized = np.unique(level[shared], return_inverse=True)[1], memorized[shared]
    _, family = np.unique(table["family"].to_numpy(zero_copy_only=False), return_inverse=True)
    sides = [len(np.unique(family[memorized == side])) for side in (True, False)]
    if min(sides) < LEAST_FAMILIES:
        return []
    values = np.stack([table[name].to_numpy().astype(np.float64) for name in COMPARED])
    every = np.ones((1, len(level)))
    means = _means(values, level, memorized, every)  # (1, 2, columns)
    drawn = [
        _means(values, level, memorized, weight) for weight in row_weights(family, DRAWS, seed)
    ]
    apart = np.concatenate(drawn)
    low, high = np.nanquantile(apart[:, 0] - apart[:, 1], (0.025, 0.975), axis=0)
    return [
        {
            "column": name,
            "words": words,
            "memorized": int(memorized.sum()),
            "others": int((~memorized).sum()),
            "families": sides[0],
            "mean_memorized": round(float(means[0, 0, place]), 5),
            "mean_others": round(float(means[0, 1, place]), 5),
            "difference_95": [round(float(low[place]), 5), round(float(high[place]), 5)],
        }
        for place, (name, words) in enumerate(COMPARED.items())
    ]


def _means(values: Float64, level: Int64, memorized: Flags, weight: Float64) -> Float64:
    """Return the means of memorized and others, joined over levels, (draws, 2, columns).

    Args:
        values: of each column, (columns, sequences).
        level: from 0 on, (sequences,).
        memorized: (sequences,).
        weight: of each draw, (draws, sequences).
    """
    one_of = np.eye(int(level.max()) + 1)[level]  # (sequences, levels)
    sums, sizes = [], []
    for side in (memorized, ~memorized):
        own = one_of * side[:, None]
        sizes.append(weight @ own)  # (draws, levels)
        sums.append(np.stack([weight @ (own * value[:, None]) for value in values], axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = sizes[0] * sizes[1] / (sizes[0] + sizes[1])
        share = np.nan_to_num(share) / np.nan_to_num(share).sum(1, keepdims=True)
        means = [
            (np.nan_to_num(total / size[:, None]) * share[:, None]).sum(-1)
            for total, size in zip(sums, sizes, strict=True)
        ]
    return np.stack(means, axis=1)
