"""`rote backtest --size smoke` from end to end: minutes, so it is slow."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.e2e.command import files, fresh, rote

SETTINGS = ("--size", "smoke", "--set", "backtest.draws=100", "--local")
STEMS = [
    a + b for a in ("ba", "co", "di", "fu", "ge", "hi", "lo", "mu") for b in ("nd", "rt", "st")
]
ENDS = ["", "s", "ly", "ed", "ing"]


def corpus(folder):
    """Write 900 texts of 150 words that a small model can learn something of; return the folder."""
    chance = np.random.default_rng(4)
    folder.mkdir()
    rows = []
    for number in range(900):
        words = np.char.add(chance.choice(STEMS, 150), chance.choice(ENDS, 150)).tolist()
        rows.append(json.dumps({"id": f"d{number}", "text": " ".join(words)}))
    (folder / "texts.jsonl").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """Return a run folder after a scan."""
    folder = tmp_path_factory.mktemp("backtest")
    done = rote("scan", corpus(folder / "corpus"), "--out", folder / "run", "--local")
    assert done.code == 0, done.err
    return folder / "run"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_backtest_runs_resumes_and_holds_its_promises(scanned):
    """Killed and run again it ends; what it says of planted text, splits and the floor is so."""
    killed = rote("backtest", scanned, *SETTINGS, after=25)
    assert killed.code != 0
    done = fresh("backtest", scanned, *SETTINGS, "--arms", "random,goldfish", seconds=1700)
    assert done.code == 0, done.err
    folder = scanned / "backtest"
    result = json.loads((folder / "backtest.json").read_text())
    _dose_response(result)
    _comparisons(result)
    assert {row["arm"] for row in result["arms"]} == {"random", "goldfish"}
    _nothing_outside_was_scanned(folder)
    before = files(folder)
    again = fresh("backtest", scanned, *SETTINGS, "--arms", "random,goldfish", seconds=600)
    assert again.code == 0, again.err
    assert "nothing to train" in again.err
    assert files(folder) == before
    refused = rote("backtest", scanned, *SETTINGS, "--set", "backtest.target_ratio=4")
    assert refused.code == 2
    assert "cannot be changed afterwards" in refused.err


def _dose_response(result):
    """Require more doses to be memorized more by the target, and outside ones hardly ever."""
    rows = [row for row in result["doses"] if row["model"] == "target" and row["kind"] == "canary"]
    for part in ("random", "passage"):
        own = {
            row["dose"]: row["memorized"] / row["sequences"] for row in rows if row["part"] == part
        }
        assert sorted(own) == [0, 1, 4, 16]
        assert own[0] <= 0.02
        assert own[16] > own[0]
        assert own[16] >= own[4] >= own[1] - 0.2


def _comparisons(result):
    """Require every declared comparison, with its interval around it."""
    assert len(result["differences"]) == 20
    for row in result["differences"]:
        assert row["low"] <= row["difference"] <= row["high"]
    assert all(0.0 <= row["floor"]["rate_95"][0] <= 1.0 for row in result["strata"])


def _nothing_outside_was_scanned(folder):
    """Require that no text of a cluster outside is in the corpus that was trained on."""
    planted = pq.read_table(folder / "backtest_planted").to_pylist()
    scanned = set(pq.read_table(folder / "backtest_corpus")["text"].to_pylist())
    outside = {row["text"] for row in planted if not row["inside"] and row["kind"] != "natural"}
    assert outside
    assert not outside & scanned
