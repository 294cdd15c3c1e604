"""The struct column that each written row gets: what is known of it and what the policy adds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.config.policy import MASKS
from pipeline.config.sections import Config
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_keys
from pipeline.filter.mitigations.goldfish import load_tokenizer, loss_masks
from pipeline.filter.rules.drop_risk import NAME as DROP_RISK
from pipeline.filter.rules.rules import CUT_SPANS
from pipeline.text.arrays import Uint64
from schemas.filter.decisions import CUTS
from schemas.filter.emitted import (
    CUT_BYTES,
    KEPT_STRUCT,
    LOSS_MASK,
    MASKED,
    REMOVED_STRUCT,
    RISK_AFTER,
    SINK_ID,
    WEIGHT,
)


def kept_struct(config: Config) -> pa.StructType:
    """Return the type of the column in kept/: what the policy adds comes last."""
    own, more = config.mitigation, []
    if DROP_RISK in config.policy.rules:
        more.append(RISK_AFTER)
    if CUT_SPANS in config.policy.rules:
        more.append(MASKED if config.policy.cut == MASKS else CUT_BYTES)
    if own.sink_id:
        more.append(SINK_ID)
    if own.weights != "none":
        more.append(WEIGHT)
    if own.goldfish_k:
        more.append(LOSS_MASK)
    return pa.struct([*KEPT_STRUCT, *more])


def removed_struct(config: Config) -> pa.StructType:
    """Return the type of the column in removed/."""
    more = [RISK_AFTER] if DROP_RISK in config.policy.rules else []
    return pa.struct([*REMOVED_STRUCT, *more])


class Added:
    """Makes the struct column of some rows from their facts."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._kept, self._removed = kept_struct(work.config), removed_struct(work.config)
        self._names = {field.name for field in self._kept}
        own = work.config.mitigation
        self._tokenizer = (
            load_tokenizer(work.config, work.paths("models")) if own.goldfish_k else None
        )

    def to_removed(self, facts: pa.Table) -> pa.StructArray:
        """Return the column of rows that go."""
        return _struct(facts, self._removed)

    def to_kept(self, facts: pa.Table, texts: pa.Array | None) -> pa.StructArray:
        """Return the column of rows that stay; texts: as written, for loss masks."""
        keys = facts["row_key"].to_numpy()
        if "masked" in self._names or "cut_bytes" in self._names:
            ranges = self.ranges(keys)
            own = [ranges.get(key, []) for key in keys.tolist()]
            masked = [[{"start_byte": s, "end_byte": e} for s, e in row] for row in own]
            facts = facts.append_column("masked", pa.array(masked, MASKED.type))
            size = [sum(e - s for s, e in row) for row in own]
            facts = facts.append_column("cut_bytes", pa.array(size, pa.int64()))
        if self._tokenizer is not None and texts is not None:
            own_k, own_h = (
                self._work.config.mitigation.goldfish_k,
                self._work.config.mitigation.goldfish_h,
            )
            masks = loss_masks(self._tokenizer, texts.to_pylist(), own_k, own_h)
            facts = facts.append_column("loss_mask", masks)
        return _struct(facts, self._kept)

    def ranges(self, keys: Uint64) -> dict[int, list[tuple[int, int]]]:
        """Return the cuts of each of some rows, in order."""
        found: dict[int, list[tuple[int, int]]] = {}
        if not len(keys):
            return found
        low, high = int(np.min(keys)), int(np.max(keys))
        for part in read_keys(self._work.paths("cuts"), CUTS, CUTS.names[:3], low, high):
            for key, start, end in zip(
                *(column.to_pylist() for column in part.columns), strict=True
            ):
                found.setdefault(key, []).append((start, end))
        return found


def _struct(facts: pa.Table, kind: pa.StructType) -> pa.StructArray:
    return pa.StructArray.from_arrays(
        [_column(facts[field.name], field.type) for field in kind], fields=list(kind)
    )


def _column(values: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    joined = values.combine_chunks()
    array = joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)
    return array if array.type == kind else array.cast(kind)
