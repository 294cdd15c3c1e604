from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.report.data.backtest import backtest
from pipeline.report.html.markup import tag
from pipeline.report.page.proof import proof

DATA = {
    "models": [{"model": "target", "parameters": 7}],
    "forecast": {"rows_judged": 5},
    "metrics": [
        {"score": "unseen", "metric": "average_precision", "value": 0.5, "low": 0.25, "high": 0.75}
    ],
    "reliability": [{"score": "unseen", "forecast": 0.5, "observed": 0.25, "sequences": 3}],
    "differences": [
        {"forecast": "unseen", "baseline": "log count", "metric": "brier", "difference": 0.125}
    ],
    "caveats": ["One seed."],
    "nothing": float("nan"),
}


def _write(folder: Path, text: str) -> None:
    (folder / "backtest").mkdir()
    (folder / "backtest" / "backtest.json").write_text(text)


def test_tables_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    """Each list of rows is found by what only it has; the rest is kept as it is."""
    _write(tmp_path, json.dumps(DATA))
    found = backtest(tmp_path)
    assert found is not None
    assert [found[name] for name in ("metrics", "reliability", "differences")] == [
        DATA["metrics"],
        DATA["reliability"],
        DATA["differences"],
    ]
    assert found["others"] == {"models": DATA["models"]}
    assert found["facts"] == {"forecast rows_judged": 5, "nothing": None}
    assert found["caveats"] == ["One seed."]
    assert found["curve"] == []


def test_the_curve_is_a_table_beside_the_file(tmp_path: Path) -> None:
    """Points of precision and recall are read from the table of the back-test."""
    _write(tmp_path, "{}")
    table = pa.table({"score": ["unseen"], "precision": [1.0], "recall": [0.5]})
    (tmp_path / "backtest" / "backtest_curve").mkdir()
    pq.write_table(table, tmp_path / "backtest" / "backtest_curve" / "all.parquet")
    found = backtest(tmp_path)
    assert found is not None
    assert found["curve"] == [{"score": "unseen", "precision": 1.0, "recall": 0.5}]


def test_a_short_curve_keeps_its_points_beside_a_long_one(tmp_path: Path) -> None:
    """Of few values each point is a fall; a long curve is thinned, its ends included."""
    _write(tmp_path, "{}")
    few = [("count", k / 10, 1 - k / 10) for k in range(10)]
    many = [("risk", k / 5000, 0.5) for k in range(5001)]
    table = pa.table(
        {
            "stratum": ["all"] * 5011 + ["other"],
            "score": [row[0] for row in few + many] + ["count"],
            "recall": [row[1] for row in few + many] + [0.05],
            "precision": [row[2] for row in few + many] + [0.0],
        }
    )
    (tmp_path / "backtest" / "backtest_curve").mkdir()
    pq.write_table(table, tmp_path / "backtest" / "backtest_curve" / "all.parquet")
    found = backtest(tmp_path)
    assert found is not None
    curves = {name: [r["recall"] for r in found["curve"] if r["score"] == name]
              for name in ("count", "risk")}  # fmt: skip
    assert curves["count"] == [row[1] for row in few]
    assert len(curves["risk"]) == 100
    assert curves["risk"][::99] == [0.0, 1.0]


@pytest.mark.parametrize("text", ["", "[]", "{", '"words"'])
def test_a_file_that_is_no_back_test_counts_as_none(tmp_path: Path, text: str) -> None:
    """The report is made all the same."""
    _write(tmp_path, text)
    assert backtest(tmp_path) is None


def test_the_section_shows_what_there_is(tmp_path: Path) -> None:
    """Metrics with intervals, differences, calibration; without any, the command that makes it."""
    _write(tmp_path, json.dumps(DATA))
    shown = proof({"risk": None, "backtest": backtest(tmp_path)})
    assert '<td class="n" data-v="0.5">0.500</td><td class="n">0.250 to 0.750</td>' in shown
    assert '<td class="n" data-v="0.125">0.125</td>' in shown
    assert "Calibration against the larger model" in shown
    assert "<li>One seed.</li>" in shown
    nothing = proof({"risk": None, "backtest": None})
    assert tag("code", "rote backtest RUN") in nothing
