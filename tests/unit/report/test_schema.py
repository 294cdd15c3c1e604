from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from pipeline.report.report import report
from tests.report_runs import compared_with, make_run

SCHEMA = json.loads(files("schemas").joinpath("report.json").read_text(encoding="utf-8"))
BACKTEST = {
    "size": "mini",
    "metrics": [{"score": "unseen", "metric": "average_precision", "value": 0.5}],
    "curve": [{"score": "unseen", "precision": 1.0, "recall": 0.5}],
    "reliability": [{"score": "unseen", "forecast": 0.5, "observed": 0.25}],
    "caveats": ["One seed."],
}


def test_the_schema_is_one() -> None:
    """schemas/report.json is a valid JSON Schema."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("scored", [False, True])
def test_a_report_conforms(tmp_path: Path, scored: bool) -> None:
    """With and without a forecast, a back-test and a comparison, report.json is as the schema."""
    work = make_run(tmp_path, scored=scored)
    if scored:
        (work.folder / "backtest").mkdir()
        (work.folder / "backtest" / "backtest.json").write_text(json.dumps(BACKTEST))
        work = compared_with(work, work.folder)
    report(work)
    data = json.loads((work.folder / "report" / "report.json").read_text())
    jsonschema.validate(data, SCHEMA)
    assert (data["backtest"] is not None) == scored
    assert (data["changes"] is not None) == scored
    assert set(data) == set(SCHEMA["properties"])


def test_the_schema_knows_no_other_keys(tmp_path: Path) -> None:
    """A number that the schema does not name fails: it must be added there, too."""
    work = make_run(tmp_path)
    report(work)
    data = json.loads((work.folder / "report" / "report.json").read_text())
    data["corpus"]["another"] = 1
    with pytest.raises(jsonschema.ValidationError, match="another"):
        jsonschema.validate(data, SCHEMA)
