"""A target far beyond the proxies: report.json keeps orders and bands, and no single number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.engine.manifest import load_manifest, manifest_bytes
from pipeline.engine.stage import Work
from pipeline.report.report import report
from tests.report_runs import compared_with, make_run
from tests.unit.report.test_outlook import facts_of, with_facts
from tests.unit.report.test_personal import with_personal
from tests.unit.report.test_schema import SCHEMA

Row = dict[str, Any]
RULES = [
    {"rule": "drop-copies", "rows": 2, "bytes": 9}
    | {"expected_tokens_avoided": 64.0, "expected_tokens_left": 24.0}
]


def _run(folder: Path, *, extrapolated: bool) -> Work:
    """Return the work of a scored run with personal data, rules that were tallied, and a target."""
    folder.mkdir()
    work = with_personal(make_run(folder, scored=True))
    with_facts(work, facts_of(extrapolated=extrapolated))
    manifest = load_manifest(work.folder)
    manifest["outputs"]["decisions/all"]["facts"]["rules"] = RULES
    (work.folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    return work


def _data(work: Work) -> Row:
    report(work)
    data: Row = json.loads((work.folder / "report" / "report.json").read_text())
    jsonschema.validate(data, SCHEMA)
    return data


def _single_numbers(data: Row) -> list[object]:
    """Return every number of report.json that rests on single risks."""
    found, removed, personal = data["risk"], data["removed"], data["personal"]
    return [
        found["histogram"],
        *(row[key] for row in found["top"] for key in ("risk", "expected_tokens")),
        *(row[key] for row in found["sources"] for key in ("risky", "largest", "expected_tokens")),
        *(row[key] for row in removed["left"] for key in ("risky", "expected_tokens")),
        *(
            row[f"expected_tokens_{name}"]
            for row in removed["rules"]
            for name in ("avoided", "left")
        ),
        *(row["expected_tokens"] for row in data["first"]),
        *(row["likely"] for row in personal["kinds"]),
        *(row["risk"] for row in personal["top"]),
    ]


def test_an_order_has_no_single_number(tmp_path: Path) -> None:
    """Of a target over ten times the proxies all are null; the ends of intervals stay."""
    near = _data(_run(tmp_path / "near", extrapolated=False))
    far = _data(_run(tmp_path / "far", extrapolated=True))
    assert len(_single_numbers(near)) > 12
    assert any(_single_numbers(near))
    assert set(_single_numbers(far)) == {None}
    for data in (near, far):
        top = data["risk"]["top"]
        assert [row["document"]["doc_id"] for row in top] == ["hostile", "long"]
        assert [row["risk_low"] for row in top] == [0.375, 0.005]
        assert {row["risk_high"] for row in top} == {0.9}
    assert far["risk"]["without"] == near["risk"]["without"]


def test_an_order_calls_no_text_likely(tmp_path: Path) -> None:
    """What to remove first has no row of texts at a risk of 0.5 or above: that is no number."""
    near = _data(_run(tmp_path / "near", extrapolated=False))
    far = _data(_run(tmp_path / "far", extrapolated=True))
    assert [row["kind"] for row in near["first"]].count("risk") == 1
    assert [row["kind"] for row in far["first"]].count("risk") == 0
    assert len(far["first"]) == len(near["first"]) - 1


@pytest.mark.parametrize(("now", "before"), [(False, True), (True, False), (True, True)])
def test_a_comparison_tells_only_what_both_runs_know(
    tmp_path: Path, now: bool, before: bool
) -> None:
    """The side that has an order has no amounts; the documents that were scored are told."""
    here = _run(tmp_path / "now", extrapolated=now)
    other = _run(tmp_path / "before", extrapolated=before)
    work = compared_with(here, other.folder)
    rows = {row["measure"]: row for row in _data(work)["changes"]["risk"]}
    assert (rows["scored"]["before"], rows["scored"]["now"]) == (3, 3)
    for name in ("risky", "tokens_at_risk"):
        assert (rows[name]["before"] is None, rows[name]["now"] is None) == (before, now)
    summary = (work.folder / "report" / "summary.md").read_text()
    assert "tokens at risk |" not in summary.split("## Changed since")[1]
