import polars as pl
import pytest

from pipeline import decisions
from pipeline.config import Config, PolicyConfig
from pipeline.errors import IntegrityError
from pipeline.stage import Work
from pipeline.store import write_table
from schemas.documents import DOCUMENTS

SCHEMA = {"row_key": pl.UInt64, "keeper": pl.UInt64, "method": pl.String}
ROWS = [(1, None, None), (2, 1, "exact"), (2**63, 1, "near")]


def documents(rows=ROWS):
    """Return rows of `documents` as the rules see them."""
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def rows_of(frame):
    """Return the decisions as tuples."""
    return frame.select("row_key", "action", "rule", "reason", "keeper").rows()


def test_documents_with_a_keeper_are_dropped_with_their_reason():
    """Exact and near copies go for their own reasons; the rest stays without one."""
    assert rows_of(decisions.decide(documents(), PolicyConfig())) == [
        (1, "keep", None, None, None),
        (2, "drop", "drop-copies", "exact_copy", 1),
        (2**63, "drop", "drop-copies", "near_copy", 1),
    ]


def test_no_rules_keep_everything():
    """An empty policy decides to keep each row, and names no keeper."""
    found = decisions.decide(documents(), PolicyConfig(rules=()))
    assert rows_of(found) == [(key, "keep", None, None, None) for key in (1, 2, 2**63)]


def test_the_first_removal_wins(monkeypatch):
    """A row that two rules remove has the reason of the first; a later rule still takes others."""

    def drop_all(frame):
        return frame.select(
            "row_key",
            pl.lit("drop-all").alias("rule"),
            pl.lit("all").alias("reason"),
            pl.lit(None, pl.UInt64).alias("keeper"),
        )

    monkeypatch.setitem(decisions.RULES, "drop-all", drop_all)
    both = PolicyConfig.model_construct(rules=("drop-copies", "drop-all"))
    found = rows_of(decisions.decide(documents(), both))
    assert [row[3] for row in found] == ["all", "exact_copy", "near_copy"]
    turned = PolicyConfig.model_construct(rules=("drop-all", "drop-copies"))
    assert [row[3] for row in rows_of(decisions.decide(documents(), turned))] == ["all"] * 3


def test_no_documents_give_no_decisions():
    """An empty corpus is no error."""
    assert decisions.decide(documents([]), PolicyConfig()).height == 0


def stored_work(folder, rows):
    """Write `documents` of nothing particular and return the unit of work over them."""
    names = {"row_key", "keeper", "keeper_doc_id", "method", "jaccard"}
    count = len(rows)
    filler = {"uint64": 0, "string": "", "int64": 1, "double": 1.0, "bool": False}
    columns = {
        field.name: [filler.get(str(field.type), b"0" * 16)] * count
        for field in DOCUMENTS
        if field.name not in names
    }
    columns |= {
        "row_key": [r[0] for r in rows],
        "keeper": [r[1] for r in rows],
        "keeper_doc_id": [None] * count,
        "method": [r[2] for r in rows],
        "jaccard": [None] * count,
    }
    with write_table(folder, "documents", "all", DOCUMENTS) as out:
        out.write(pl.DataFrame(columns).to_arrow())
    tables = {"documents": (out.record.path,)}
    return Work("decisions", "all", folder, Config(), (), tables)


def test_the_stage_counts_its_reasons(tmp_path):
    """The receipt tells how many rows go for which reason, and rows in are rows out."""
    receipt = decisions.decisions(stored_work(tmp_path, ROWS))
    assert (receipt.rows_in, receipt.rows_out) == (3, 3)
    assert receipt.facts == {"reasons": {"exact_copy": 1, "kept": 1, "near_copy": 1}}


def test_a_keeper_that_goes_itself_stops_the_stage(tmp_path):
    """A removal whose keeper is removed too is never written out."""
    with pytest.raises(IntegrityError, match="names a keeper that is not kept") as stopped:
        decisions.decisions(
            stored_work(tmp_path, [(1, None, None), (2, 1, "near"), (3, 2, "near")])
        )
    assert stopped.value.found == "1 rows"
