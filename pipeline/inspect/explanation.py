"""The data of an explanation, which `rote explain` shows in words and as a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.config.sections import Config
from pipeline.engine.tables import Row
from pipeline.inspect.other_columns import OtherColumns

if TYPE_CHECKING:
    from pipeline.inspect.attributed import Attributed


@dataclass
class Explanation:
    """Everything that a run knows of one row.

    Attributes:
        row: its counts; for a rejected row doc_id, shard, shard_row, reason and text_bytes.
        config: the settings of the run.
        rejected: whether the row was rejected, so that it is no document.
        text: its text; None where texts are not to be shown or the text could not be read.
        decision: what the filter decided; None before the filter.
        keeper: the row that stays in its place, if one does.
        keeper_text: the text of the keeper, as `text`.
        proof: the verified pair with the keeper, or the share contained in it.
        others: how the columns of the rows that it stands for differ from its own.
        near: verified pairs with other texts, the closest first.
        spans: its repeated spans, each with other documents that repeat it as `elsewhere`.
        risk: its forecast; None where nothing of it was scored.
        scored: whether the run was scored.
        features: what the forecast rests on: feature, value, coefficient and contribution.
        sequence: its riskiest sequence: counts, columns of its text, statistics of each proxy.
        held: the row of the other run that holds it.
        items: fields of evaluation items that it holds, the surest first.
        personal: the first pieces of personal data in it, where they were looked for.
        probes: what probes measured on its sequences, a row for each number.
        attributed: what the proxies say of that sequence, where they were asked.
        changed: shards of it and its keeper that are not the files that were scanned.
    """

    row: Row
    config: Config
    rejected: bool = False
    text: str | None = None
    decision: Row | None = None
    keeper: Row | None = None
    keeper_text: str | None = None
    proof: Row | None = None
    others: OtherColumns | None = None
    near: list[Row] = field(default_factory=list)
    spans: list[Row] = field(default_factory=list)
    risk: Row | None = None
    scored: bool = False
    features: list[Row] = field(default_factory=list)
    sequence: Row | None = None
    held: list[Row] = field(default_factory=list)
    items: list[Row] = field(default_factory=list)
    personal: list[Row] = field(default_factory=list)
    probes: list[Row] = field(default_factory=list)
    attributed: Attributed | None = None
    changed: tuple[str, ...] = ()
