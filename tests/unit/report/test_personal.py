"""The section on personal data: counts by kind, values by risk, masks in place of values."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.engine.tables import write_table
from pipeline.report.page.page import page
from pipeline.report.page.personal import sentence
from pipeline.report.quotes.values import value_mask
from pipeline.report.report import report
from pipeline.report.summary import summary
from schemas.filter.decisions import DECISIONS
from schemas.filter.personal import PERSONAL
from tests.report_runs import HOSTILE, make_run

MAIL = HOSTILE.encode().index(b"root@example.org")
CUTS = pa.table({"row_key": pa.array([2], pa.uint64()), "start_byte": [0], "end_byte": [9]})
RISK = pa.table(
    {
        "row_key": pa.array([1, 3, 3], pa.uint64()),
        "start_byte": [0, 0, 90],
        "end_byte": [50, 50, 140],
        "risk": [0.2, 0.7, 0.9],
    }
)


@pytest.fixture
def inputs(stored):
    """Return three values: one in rows 1 (kept) and 3 (removed), one masked in 2, one in 4."""
    return {
        "personal": stored(
            PERSONAL,
            row_key=[1, 2, 3, 4],
            start_byte=[10, 0, 30, 5],
            end_byte=[20, 9, 40, 15],
            kind=["email", "phone", "email", "email"],
            value_hash=[7, 8, 7, 9],
        ),
        "decisions": stored(
            DECISIONS,
            row_key=[1, 2, 3, 4],
            action=["keep", "cut", "drop", "keep"],
            reason=[None, "personal_masked", "near_copy", None],
        ),
        "cuts": CUTS,
        "risk": RISK,
    }


def test_kinds_are_counted_before_and_after_the_filter(inputs):
    """What is masked or in a removed row is not left; a find is scored by what overlaps with it."""
    rows = query("report/personal_kinds", inputs, {"likely": 0.5}).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("email", 3, 2, 3, 2, 2, 1),
        ("phone", 1, 1, 1, 0, 0, 0),
    ]


def test_values_of_highest_risk_come_first(inputs):
    """One row a value, at its riskiest find; then those without a risk, by how often they occur."""
    none = pa.table({"row_key": pa.array([], pa.uint64())})
    rows = query("report/personal_top", {**inputs, "apart": none}, {"top": 9}).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("email", 3, 30, 40, 0.7, 2, 1),
        ("email", 4, 5, 15, None, 1, 1),
        ("phone", 2, 0, 9, None, 1, 0),
    ]


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("email", "jane.roe@mail.example.org", "j***@m***.org"),
        ("phone", "+44 20 7946 0018", "+4***8"),
        ("ip", "142.250.200.46", "14***"),
        ("iban", "DE89370400440532013000", "DE***"),
        ("card", "4111 1111 1111 1111", "***1"),
        ("national_id", "536-90-4399", "***9"),
        ("key", "ghp_a1B2c3D4", "ghp_***"),
    ],
)
def test_a_mask_tells_little_of_a_value(kind, value, shown):
    """First and last signs at most: enough to find the value by hand, too little to use it."""
    assert value_mask(kind, value) == shown


def with_personal(work: Work, *, excerpts: bool = True) -> Work:
    """Return the work with one e-mail address found in the hostile document, and no other."""
    with write_table(work.folder, "personal", "g00000", PERSONAL) as out:
        found = [[1], [MAIL], [MAIL + len("root@example.org")], ["email"], [5]]
        out.write(pa.table(found, schema=PERSONAL))
    own = work.config.report.model_copy(update={"excerpts": excerpts})
    config = work.config.model_copy(update={"report": own})
    tables = {**work.tables, "personal": (out.record.path,)}
    return dataclasses.replace(work, tables=tables, config=config)


@pytest.mark.parametrize("excerpts", [True, False])
def test_the_report_shows_masks_and_no_value(tmp_path: Path, excerpts: bool) -> None:
    """Page, JSON and summary tell the find and where it is; without excerpts not even its mask."""
    work = with_personal(make_run(tmp_path, scored=True), excerpts=excerpts)
    report(work)
    data = json.loads((work.folder / "report" / "report.json").read_text())
    (kind,), (top,) = data["personal"]["kinds"], data["personal"]["top"]
    assert (kind["finds"], kind["left_in_kept"], kind["scored"]) == (1, 1, 0)
    assert top["mask"] == ("r***@e***.org" if excerpts else None)
    assert top["document"]["doc_id"] == "hostile"
    for shown in (json.dumps(data), page(data), summary(data)):
        assert "root@" not in shown
    assert ("r***@e***.org" in page(data)) == excerpts
    assert "| e-mail address | 1 | 1 |" in summary(data)


def test_nothing_is_told_of_what_was_not_looked_for(tmp_path: Path) -> None:
    """Without the table there is no section; with an empty one the report says that none is."""
    work = make_run(tmp_path)
    report(work)
    data = json.loads((work.folder / "report" / "report.json").read_text())
    assert data["personal"] is None
    assert "Not looked for (personal.find)." in page(data)
    assert 'id="personal"' not in page(data)
    assert "None was found." in page({**data, "personal": {"kinds": [], "top": []}})


WHERE = "are in the texts of kept/; other columns are not searched"
RULES = "The rules mask-personal and drop-personal take them."


@pytest.mark.parametrize(
    ("rules", "left", "told"),
    [
        (["drop-copies"], 2, f"2 {WHERE}. {RULES}"),
        (["drop-copies"], 0, f"0 {WHERE}."),
        (["drop-copies", "mask-personal"], 2, f"2 {WHERE}."),
    ],
)
def test_finds_that_stay_are_told_with_the_rules_that_take_them(rules, left, told):
    """Unless one of these rules was asked for: then what stays is exempt, or was restored."""
    data = {
        "personal": {"kinds": [{"finds": 5, "left_in_kept": left}]},
        "config": {"policy": {"rules": rules}},
        "risk": None,
    }
    assert sentence(data) == f"5 pieces of personal data were found; {told}"
