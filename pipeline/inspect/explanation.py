"""What is known of one row: what `rote explain` shows in words and as a page."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.config.sections import Config
from pipeline.engine.tables import Row


@dataclass
class Explanation:
    """What is known of one row.

    row: its counts, or for a rejected row shard, shard_row and reason. text, keeper_text: None
    where they are not to be shown or could not be read. decision: None before the filter. proof:
    the verified pair with the keeper, or the share contained in it. near: verified pairs, the
    closest first. spans: each with `elsewhere`, other documents that repeat it. risk: None where
    nothing of it was scored; scored: whether the run was. features: what the forecast rests on, by
    name: value, coefficient and their product.
    """

    row: Row
    config: Config
    rejected: bool = False
    text: str | None = None
    decision: Row | None = None
    keeper: Row | None = None
    keeper_text: str | None = None
    proof: Row | None = None
    near: list[Row] = field(default_factory=list)
    spans: list[Row] = field(default_factory=list)
    risk: Row | None = None
    scored: bool = False
    features: list[Row] = field(default_factory=list)
