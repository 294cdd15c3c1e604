"""What happens to each document: rules in config order, the first removal wins."""

from __future__ import annotations

import polars as pl

from pipeline.config import PolicyConfig
from pipeline.errors import IntegrityError
from pipeline.mitigations.drop_copies import drop_copies
from pipeline.query import run
from pipeline.stage import Receipt, Work
from pipeline.store import read_table, write_table
from schemas.decisions import DECISIONS
from schemas.documents import DOCUMENTS

VERSION = 1
RULES = {"drop-copies": drop_copies}


def decisions(work: Work) -> Receipt:
    """Reduce: decide about every document; no keeper may itself be dropped."""
    documents = read_table(work.paths("documents"), DOCUMENTS, ["row_key", "keeper", "method"])
    frame = pl.from_arrow(documents)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - narrows the union that from_arrow declares
    with write_table(work.folder, "decisions", work.key, DECISIONS) as out:
        out.write(decide(frame, work.config.policy).to_arrow())
    orphans = run("audits/keepers_are_kept", {"decisions": [work.folder / out.record.path]})
    if orphans.num_rows:
        raise IntegrityError(
            "A removed document names a keeper that is not kept.",
            where="decisions",
            found=f"{orphans.num_rows} rows",
        )
    reasons = run("reasons", {"decisions": [work.folder / out.record.path]})
    facts = {"reasons": dict(zip(*reasons.to_pydict().values(), strict=True))}
    return Receipt((out.record,), documents.num_rows, out.rows, facts)


def decide(documents: pl.DataFrame, policy: PolicyConfig) -> pl.DataFrame:
    """Return the rows of `decisions`; a document that no rule removes is kept."""
    removals = [RULES[rule](documents) for rule in policy.rules]
    if not removals:
        removals = [drop_copies(documents).clear()]
    first = pl.concat(removals).unique("row_key", keep="first", maintain_order=True)
    action = pl.when(pl.col("rule").is_null()).then(pl.lit("keep")).otherwise(pl.lit("drop"))
    decided = documents.select("row_key").join(
        first, on="row_key", how="left", maintain_order="left"
    )
    return decided.with_columns(action.alias("action"))
