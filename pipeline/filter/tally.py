"""What each rule of a policy took: rows, bytes, tokens that are no longer likely memorized."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.filter import recount
from pipeline.filter.rules.cuts import Cut
from pipeline.text.arrays import Float64, Uint64
from schemas.filter.decisions import CUTS
from schemas.score.risk import RISK


class RuleTally:
    """What each rule took: rows, bytes, and, in a scored run, what it keeps from being memorized.

    rules: one entry each, in order. Tokens are expected ones of distinct texts, see `recount`.
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
        """Return the risk of each document in the corpus without some rows; NaN for none."""
        if self._known is None:
            return np.full(self._table.num_rows, np.nan)
        risk = recount.risk_after(self._work, self._known, without)
        return recount.of_documents(self._known, risk, self._table["representative"].to_numpy())

    def note(self, rule: str, state: pl.DataFrame, cut: Cut | None = None) -> None:
        """Enter a rule that has left the documents like this."""
        taken = state.filter(pl.col("rule").is_not_null(), pl.col("reason") != "repeated")
        rows, size = taken.height, int(taken["text_bytes"].sum())
        entry: dict[str, Any] = {
            "rule": rule,
            "rows": rows - self._rows,
            "bytes": size - self._bytes,
        }
        ranges = CUTS.empty_table()
        if cut is not None:
            entry |= {
                "cut_rows": cut.facts["cut"]["documents"],
                "cut_bytes": cut.facts["cut"]["bytes"],
            }
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
