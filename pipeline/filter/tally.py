"""Count what each rule of a policy removed: rows, bytes, and tokens no longer memorized."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline.config.policy import MASK_PERSONAL
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.filter import recount
from pipeline.filter.rules.cuts import Cut
from pipeline.text.arrays import Float64, Uint64
from schemas.filter.decisions import CUTS
from schemas.score.risk import RISK

CUT_REASONS = (
    "repeated",
    "item_cut",
    "personal_masked",
)  # of rows that stay, without a part of their text


class RuleTally:
    """A count of what each rule removed, and in a scored run of the tokens that it protects.

    Tokens are those of distinct texts that the target is expected to memorize, see `recount`.

    Attributes:
        rules: one entry per rule, in order, for the facts of the decisions.
    """

    def __init__(self, work: Work, table: pa.Table) -> None:
        self._work = work
        self._table = table
        self._known = recount.scored(work)
        self._rows = self._bytes = 0
        self._tokens = 0.0
        self.rules: list[dict[str, Any]] = []
        if self._known is not None:
            keys = table["row_key"].to_numpy()
            exact = table["exact_count"].to_numpy()
            self._exact = exact[np.searchsorted(keys, self._known.texts)]
            given = read_table(work.paths("risk"), RISK, ["risk"])["risk"].drop_null().to_numpy()
            self._tokens = recount.expected_tokens(self._known, given, self._exact)

    def risk_of_documents(self, without: Uint64) -> Float64:
        """Return the risk of each document in the corpus without some rows, NaN for no forecast.

        Args:
            without: keys of the removed rows, sorted.
        """
        if self._known is None:
            return np.full(self._table.num_rows, np.nan)
        risk = recount.risk_after(self._work, self._known, without)
        return recount.of_documents(self._known, risk, self._table["representative"].to_numpy())

    def note(self, rule: str, state: pl.DataFrame, cut: Cut | None = None) -> None:
        """Add an entry for a rule.

        Args:
            rule: its name.
            state: the documents after it.
            cut: what it and the rules before it cut, for those that change texts.
        """
        taken = state.filter(pl.col("rule").is_not_null(), ~pl.col("reason").is_in(CUT_REASONS))
        rows, size = taken.height, int(taken["text_bytes"].sum())
        entry: dict[str, Any] = {
            "rule": rule,
            "rows": rows - self._rows,
            "bytes": size - self._bytes,
        }
        ranges = CUTS.empty_table()
        if cut is not None:
            changed = cut.facts["masked" if rule == MASK_PERSONAL else "cut"]
            entry |= {"cut_rows": changed["documents"], "cut_bytes": changed["bytes"]}
            ranges = cut.ranges
        if self._known is not None:
            without = np.sort(taken["row_key"].to_numpy())
            risk = recount.risk_after(self._work, self._known, without, ranges)
            left = recount.expected_tokens(self._known, risk, self._exact)
            entry |= {
                "expected_tokens_avoided": round(self._tokens - left, 1),
                "expected_tokens_left": round(left, 1),
            }
            self._tokens = left
        self._rows, self._bytes = rows, size
        self.rules.append(entry)
