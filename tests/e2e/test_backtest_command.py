"""`rote backtest` as a command: what it refuses at once, and a whole one that was killed."""

import json
import os
import signal

import pytest

from pipeline.backtest.ledger import Ledger
from tests.e2e.command import files, fresh, manifest, rote
from tests.unit.backtest.tiny import SCORED, corpus

SETTINGS = ("--size", "smoke", "--local")
SETS = [f"--set={setting}" for setting in SCORED]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """Return a run folder after a scan."""
    folder = tmp_path_factory.mktemp("backtest")
    done = rote("scan", corpus(folder / "corpus"), "--out", folder / "run", "--local", *SETS)
    assert done.code == 0, done.err
    return folder / "run"


def test_a_run_without_a_score_is_refused(scanned):
    """The error says what is missing and names the command; nothing is made."""
    refused = rote("backtest", scanned, *SETTINGS)
    assert refused.code == 2
    assert "its score is not finished" in refused.err
    assert f"rote score {scanned}" in refused.err
    assert not (scanned / "backtest").exists()
    unknown = rote("backtest", scanned, "--size", "huge", "--local")
    assert unknown.code == 2
    assert "smoke, miniature, full" in unknown.err


def _die_at_the_first_scores():
    """Have the process kill itself when it writes scores: its target is trained by then."""

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    Ledger.table = die  # type: ignore[method-assign]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_back_test_that_is_killed_goes_on(scanned):
    """Killed and run again it ends; once more it changes nothing; another target is refused."""
    assert rote("score", scanned, "--local").code == 0
    dry = rote("backtest", scanned, *SETTINGS, "--dry-run")
    assert dry.code == 0, dry.err
    assert "target-2x64-s2" in dry.err
    killed = rote("backtest", scanned, *SETTINGS, before=_die_at_the_first_scores)
    assert killed.code == -signal.SIGKILL
    trained = [name for name in manifest(scanned / "backtest")["outputs"] if "train/" in name]
    assert trained == ["train/target-2x64-s2"]
    done = fresh("backtest", scanned, *SETTINGS, seconds=1700)
    assert done.code == 0, done.err
    assert "natural, once" in done.out
    folder = scanned / "backtest"
    result = json.loads((folder / "backtest.json").read_text())
    assert {row["order"] for row in result["triples"]} == {"its own", "the proxies'"}
    before = files(folder)
    again = fresh("backtest", scanned, *SETTINGS, seconds=600)
    assert again.code == 0, again.err
    assert "nothing to train" in again.err
    assert files(folder) == before
    refused = rote("backtest", scanned, *SETTINGS, "--set", "backtest.seeds=2")
    assert refused.code == 2
    assert "cannot be changed afterwards" in refused.err
