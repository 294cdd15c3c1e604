"""Make the struct column of each written row: what is known of it and what the policy adds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.config.policy import CUT_SPANS, MASK_PERSONAL, MASKS
from pipeline.config.sections import Config
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_keys
from pipeline.filter import contaminated, held
from pipeline.filter.emit.edits import Range
from pipeline.filter.mitigations.goldfish import load_tokenizer, loss_masks
from pipeline.filter.rules.decontaminate import cuts_items
from pipeline.filter.rules.drop_risk import NAME as DROP_RISK
from pipeline.filter.rules.mask_personal import masks_personal
from pipeline.text.arrays import Uint64
from schemas.filter.decisions import CUTS
from schemas.filter.emitted import (
    CUT_BYTES,
    HELD_IN_ROW,
    ITEM_IN_ROW,
    KEPT_STRUCT,
    LOSS_MASK,
    MASKED,
    REMOVED_STRUCT,
    RISK_AFTER,
    SINK_ID,
    WEIGHT,
)

RANGE = ("row_key", "start_byte", "end_byte", "instead")


def kept_struct(config: Config) -> pa.StructType:
    """Return the type of the column in kept/; fields that the policy adds come last."""
    mitigation, more = config.mitigation, []
    if DROP_RISK in config.policy.rules:
        more.append(RISK_AFTER)
    listed = CUT_SPANS in config.policy.rules and config.policy.cut == MASKS
    if listed:
        more.append(MASKED)
    if text_changes(config):
        more.append(CUT_BYTES)
    more += _of_kept_out(config)
    if mitigation.sink_id:
        more.append(SINK_ID)
    if mitigation.weights != "none":
        more.append(WEIGHT)
    if mitigation.goldfish_k:
        more.append(LOSS_MASK)
    return pa.struct([*KEPT_STRUCT, *more])


def text_changes(config: Config) -> dict[str, str]:
    """Return what changes texts that stay, each with what can be asked for instead of it."""
    changes: dict[str, str] = {}
    if CUT_SPANS in config.policy.rules and config.policy.cut != MASKS:
        changes[CUT_SPANS] = 'list passages instead of cutting them: --set policy.cut="mask"'
    if cuts_items(config):
        changes["decontaminate.action = cut"] = (
            'remove rows with items whole: --set decontaminate.action="drop"'
        )
    if masks_personal(config):
        changes[MASK_PERSONAL] = (
            "remove rows with personal data whole: in policy.rules, drop-personal in the place of "
            "mask-personal"
        )
    return changes


def removed_struct(config: Config) -> pa.StructType:
    """Return the type of the column in removed/."""
    more = [RISK_AFTER] if DROP_RISK in config.policy.rules else []
    return pa.struct([*REMOVED_STRUCT, *more, *_of_kept_out(config)])


def _of_kept_out(config: Config) -> list[pa.Field]:
    """Return the fields that name the item that a row holds, and the row that holds it."""
    items = ITEM_IN_ROW if contaminated.is_asked(config) else []
    return [*items, *(HELD_IN_ROW if held.is_asked(config) else [])]


class Added:
    """A maker of the struct column of rows, from what is known of them."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._kept, self._removed = kept_struct(work.config), removed_struct(work.config)
        self._names = {field.name for field in self._kept}
        self._tokenizer = (
            load_tokenizer(work.config, work.paths("models"))
            if work.config.mitigation.goldfish_k
            else None
        )
        self._tokens, self._left_out = 0, 0

    @property
    def left_out(self) -> dict[str, int]:
        """Tokens that loss masks were made for so far, and those left out of the loss."""
        return (
            {}
            if self._tokenizer is None
            else {"tokens": self._tokens, "tokens_left_out": self._left_out}
        )

    def to_removed(self, facts: pa.Table) -> pa.StructArray:
        """Return the column of removed rows."""
        return _struct(facts, self._removed)

    def to_kept(self, facts: pa.Table, texts: pa.Array | None) -> pa.StructArray:
        """Return the column of kept rows.

        Args:
            facts: what is known of the rows, as `RowFacts` reads it.
            texts: the texts as written, for loss masks; None where no mask is set.
        """
        keys = facts["row_key"].to_numpy()
        if "masked" in self._names or "cut_bytes" in self._names:
            by_row = self.ranges(keys)
            ranges = [by_row.get(key, []) for key in keys.tolist()]
            masked = [[{"start_byte": s, "end_byte": e} for s, e, _ in row] for row in ranges]
            facts = facts.append_column("masked", pa.array(masked, MASKED.type))
            size = [sum(e - s for s, e, _ in row) for row in ranges]
            facts = facts.append_column("cut_bytes", pa.array(size, pa.int64()))
        if self._tokenizer is not None and texts is not None:
            mitigation = self._work.config.mitigation
            masks = loss_masks(
                self._tokenizer, texts.to_pylist(), mitigation.goldfish_k, mitigation.goldfish_h
            )
            self._tokens += len(masks.flatten())
            self._left_out += len(masks.flatten()) - masks.flatten().true_count
            facts = facts.append_column("loss_mask", masks)
        return _struct(facts, self._kept)

    def ranges(self, keys: Uint64) -> dict[int, list[Range]]:
        """Return, for each row that is cut or masked, its byte ranges in order."""
        found: dict[int, list[Range]] = {}
        if not len(keys):
            return found
        low, high = int(np.min(keys)), int(np.max(keys))
        for part in read_keys(self._work.paths("cuts"), CUTS, RANGE, low, high):
            for key, *own in zip(*(column.to_pylist() for column in part.columns), strict=True):
                start, end, instead = own
                found.setdefault(key, []).append((start, end, instead))
        return found


def _struct(facts: pa.Table, kind: pa.StructType) -> pa.StructArray:
    """Return the columns of a struct type as one array of structs."""
    return pa.StructArray.from_arrays(
        [_column(facts[field.name], field.type) for field in kind], fields=list(kind)
    )


def _column(values: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Return a column as one array of a type."""
    joined = values.combine_chunks()
    array = joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)
    return array if array.type == kind else array.cast(kind)
