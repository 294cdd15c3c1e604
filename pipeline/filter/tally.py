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
from pipeline.text.arrays import Flags, Float64, Uint64
from schemas.filter.decisions import CUTS
from schemas.score.risk import RISK

CUT_REASONS = (
    "repeated",
    "item_cut",
    "personal_masked",
)  # of rows that stay, without a part of their text


LIKELY = 0.5  # risk from which a document is likely to be recited in part
TIMES = tuple(2**power for power in range(1, 11))


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
            as_given = recount.risk_after(work, self._known, np.zeros(0, np.uint64))
            given = read_table(work.paths("risk"), RISK, ["risk"])["risk"].drop_null().to_numpy()
            self._tokens = recount.expected_tokens(self._known, given, self._exact)
            self._worth = recount.different(self._known, as_given.occurrences)
            everything = np.ones(table.num_rows, np.bool_)
            self._before = self._after = self._told(as_given, self._tokens, everything)

    def risk_of_documents(self, without: Uint64) -> Float64:
        """Return the risk of each document in the corpus without some rows, NaN for no forecast.

        Args:
            without: keys of the removed rows, sorted.
        """
        if self._known is None:
            return np.full(self._table.num_rows, np.nan)
        left = recount.risk_after(self._work, self._known, without)
        return self._of_documents(left)

    def _of_documents(self, left: recount.Left) -> Float64:
        """Return the risk of each document, NaN for no forecast, by what is left."""
        assert self._known is not None  # noqa: S101 - asked of a scored run alone
        representative = self._table["representative"].to_numpy()
        return recount.of_documents(self._known, left.risk, representative)

    def _told(self, left: recount.Left, tokens: float, stays: Flags) -> dict[str, Any]:
        """Return the facts of what is left: of documents, of different sequences by occurrences.

        Args:
            left: risk and occurrences of each sequence.
            tokens: expected to be memorized, of distinct texts.
            stays: which documents are left, (documents,).
        """
        assert self._known is not None  # noqa: S101 - asked of a scored run alone
        risk = self._of_documents(left)[stays]
        whole = [self._worth[left.occurrences >= times].sum() for times in (1, *TIMES)]
        return {
            "documents": int(stays.sum()),
            "scored": int((~np.isnan(risk)).sum()),
            "risky": int((risk >= LIKELY).sum()),
            "expected_tokens": round(tokens, 1),
            "sequences": round(float(whole[0]), 1),
            "often": [
                {"times": times, "sequences": round(float(count), 1)}
                for times, count in zip(TIMES, whole[1:], strict=True)
            ],
        }

    @property
    def before_and_after(self) -> dict[str, Any]:
        """The forecast for the corpus as given and at the doses that the filter leaves."""
        return {} if self._known is None else {"left": [self._before, self._after]}

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
            doses = recount.risk_after(self._work, self._known, without, ranges)
            left = recount.expected_tokens(self._known, doses.risk, self._exact)
            entry |= {
                "expected_tokens_avoided": round(self._tokens - left, 1),
                "expected_tokens_left": round(left, 1),
            }
            self._tokens = left
            stays = ~np.isin(self._table["row_key"].to_numpy(), without)
            self._after = self._told(doses, left, stays)
        self._rows, self._bytes = rows, size
        self.rules.append(entry)
