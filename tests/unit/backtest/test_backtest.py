"""A whole back-test of a tiny run: declared, trained, judged, gone on with, and binding."""

import json

import pyarrow.parquet as pq
import pytest

from pipeline.backtest import backtest as whole
from pipeline.backtest.arms import reserve, retention
from pipeline.backtest.backtest import FOLDER, RESULT, backtest
from pipeline.backtest.result import headline_lines
from pipeline.config.load import load_config
from pipeline.errors import ConfigError
from tests.e2e.command import files
from tests.unit.backtest.tiny import SCORED

ARMS = ("filter", "removal", "retention")


def changed(*settings):
    """Return the settings of the run with some more."""
    return load_config(settings=["limits.workers=1", *SCORED, *settings])


def test_a_back_test_of_a_scored_run(own_run, monkeypatch):
    """It judges every ladder by targets of an order of their own, and binds what it declared."""
    monkeypatch.setattr(reserve, "LEAST_FAMILIES", 20)
    monkeypatch.setattr(retention, "UPDATES", (0, 2))
    said: list[str] = []
    monkeypatch.setattr(whole, "say", said.append)
    assert backtest(own_run, changed(), "smoke", ["retention"], dry_run=True) == {"dry_run": True}
    assert not (own_run / FOLDER / "declared.json").exists()
    told = said[-1]
    result = backtest(own_run, changed("backtest.seeds=2"), "smoke", ARMS)
    assert {row["arm"] for row in result["arms"]} == {"filter"}
    _removal(result)
    assert result["arms"][0]["held_out_families"] == 20
    asked = sum(pq.read_table(own_run / name).num_rows for name in ("sequences", "plants"))
    asked += result["arms"][0]["held_out_sequences"]
    passes = 2 * asked + 3 * 2 * 4  # asked twice; two updates of four rows
    assert told == f"retention: 2 more updates, {passes:,} passes of one sequence"
    assert {row["updates"] for row in result["retention"]} == {0, 2}
    assert {row["rows"] for row in result["retention"]} == {"natural", "plants"}
    at_once = pq.read_table(own_run / FOLDER / "backtest_retention")
    assert at_once.num_rows == len(result["retention"])
    folder = own_run / FOLDER
    _triples(result["triples"])
    assert len(result["differences"]) == 20
    assert result["forecast"]["units"] <= result["forecast"]["families"]
    assert {row["model"] for row in result["doses"]} >= {"p0", "p2", "2x64 seed 2"}
    assert pq.read_table(folder / "backtest_panel").num_rows == result["forecast"][
        "rows_judged"
    ] + (pq.read_table(folder / "backtest_panel")["judged"].to_pylist().count(False))
    assert all(headline_lines(result))
    assert json.loads((folder / RESULT).read_text()) == result
    before = files(folder)
    assert backtest(own_run, changed("backtest.seeds=2"), "smoke", ARMS) == result
    assert files(folder) == before
    _bound(own_run)


def _removal(result):
    """Require a row of each policy and factor, and the filter's own arm with both seeds."""
    asked = [(row["policy"], row["times_less"]) for row in result["removal"]]
    assert asked == [(name, n) for name in ("random", "count", "risk") for n in (2, 5, 10)]
    own = [row for row in result["removal_arms"] if row["rows"] == "natural"]
    assert [row["seed"] for row in own if row["policy"] == "filter"] == [2, 3]
    of_arm = next(row for row in result["arms"] if row["arm"] == "filter")
    assert own[0]["share_of_tokens"] == of_arm["share_removed"]
    assert own[0]["loss_arm"] == of_arm["held_out_loss_arm"]  # one training, asked twice


def _triples(rows):
    """Require each ladder, target and stratum, text that occurs once first."""
    assert rows[0]["stratum"] == "natural, once"
    own = [row for row in rows if row["order"] == "its own" and row["stratum"] == "all"]
    ladders = {(row["score"], row["ladder"], row["seed"]) for row in own}
    assert ladders == {
        (score, ladder, seed)
        for score, ladder in (
            ("unseen", "p0 p1 p2"), ("seen", "p0 p1 p2"), ("unseen", "p0 p1")
        )
        for seed in (2, 3)
    }  # fmt: skip
    assert {row["target"] for row in rows if row["order"] == "the proxies'"} == {"p2"}
    for row in rows:
        low, high = row["expected_95"]
        assert low - 1e-4 <= row["expected"] <= high + 1e-4 or row["sequences"] < 30
        assert row["holds"] == (low <= row["observed"] <= high) or row["observed"] in (low, high)


def _bound(out):
    """Require another number of seeds, or of draws, to be refused."""
    with pytest.raises(ConfigError, match="cannot be changed afterwards") as caught:
        backtest(out, changed("backtest.seeds=1"), "smoke")
    assert "targets" in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be changed afterwards"):
        backtest(out, changed("backtest.seeds=2", "backtest.draws=200"), "smoke")
