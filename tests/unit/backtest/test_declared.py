"""The declaration of a back-test binds by digest, and its ledger forgets nothing too early."""

import json

import pytest

from pipeline import run
from pipeline.backtest.judgement import declared as module
from pipeline.backtest.judgement.declared import (
    NAME,
    comparisons,
    declaration,
    declare,
    digest_of_declaration,
)
from pipeline.backtest.ledger import Ledger
from pipeline.config.load import load_config
from pipeline.engine.files import holding
from pipeline.engine.run_folder import open_run
from pipeline.errors import ConfigError
from pipeline.score.forecast import features

DECLARED = declaration(["target-2x32-s2"], {"sequences/all": "abc"}, load_config())


def test_a_declaration_is_written_before_anything_is_trained(tmp_path):
    """It can be read back, and written anew as long as no target is trained."""
    declare(tmp_path, DECLARED, [])
    assert json.loads((tmp_path / NAME).read_text()) == DECLARED
    declare(tmp_path, {**DECLARED, "errors": 50}, [])
    assert json.loads((tmp_path / NAME).read_text())["errors"] == 50


def test_a_declaration_cannot_be_changed_afterwards(tmp_path):
    """With a trained target another one is refused by what differs; the same one passes."""
    declare(tmp_path, DECLARED, [])
    declare(tmp_path, DECLARED, ["train/target-2x32-s2"])
    for name, other in (("promises", [0.8]), ("run", {"sequences/all": "abd"})):
        with pytest.raises(ConfigError, match="cannot be changed") as caught:
            declare(tmp_path, {**DECLARED, name: other}, ["train/target-2x32-s2"])
        assert name in str(caught.value)
    assert json.loads((tmp_path / NAME).read_text()) == DECLARED


def test_a_target_without_a_declaration_is_refused(tmp_path):
    """Removing the file does not make it possible to declare again."""
    with pytest.raises(ConfigError, match="cannot be changed") as caught:
        declare(tmp_path, DECLARED, ["train/target-2x32-s2"])
    assert "no declaration" in str(caught.value)


def test_features_code_thresholds_strata_and_run_are_declared(tmp_path, monkeypatch):
    """Each of them by its value; a line of the forecast's code that differs is named."""
    assert DECLARED["features"]["unseen"] == list(features.UNSEEN)
    assert {"promises", "strata", "comparisons", "run", "targets"} <= DECLARED.keys()
    assert "pipeline.score.forecast.scaling" in DECLARED["code"]
    assert "pipeline.backtest.judgement.measures" in DECLARED["code"]
    declare(tmp_path, DECLARED, [])
    code = {**DECLARED["code"], "pipeline.score.forecast.scaling": "0"}
    monkeypatch.setattr(module, "code_digests", lambda: code)
    changed = declaration(["target-2x32-s2"], {"sequences/all": "abc"}, load_config())
    assert digest_of_declaration(changed) != digest_of_declaration(DECLARED)
    with pytest.raises(ConfigError, match="cannot be changed") as caught:
        declare(tmp_path, changed, ["train/target-2x32-s2"])
    assert "code (pipeline.score.forecast.scaling)" in str(caught.value)


def test_every_baseline_is_declared_for_both_forecasts():
    """Ten comparisons of each, all on the headline stratum."""
    found = comparisons()
    assert len(found) == 20
    assert {one["stratum"] for one in found} == {"all"}
    assert {"proxy flag", "base rate", "log count"} <= {one["baseline"] for one in found}


def test_an_output_is_made_once_and_again_when_its_parts_change(tmp_path):
    """The ledger skips what is there, remakes what is of other parts or whose file is gone."""
    made = []
    folder = tmp_path / "b"

    def make():
        made.append(1)
        return [ledger.file("one.bin", b"x" * len(made))], {"times": len(made)}

    with open_run(folder, create=run.new_manifest()) as opened, holding(folder):
        ledger = Ledger(opened)
        first = ledger.get("train/one", [1], make)
        assert ledger.get("train/one", [1], make) == first
        assert len(made) == 1
        assert ledger.get("train/one", [2], make).facts == {"times": 2}
        (folder / "models" / "one.bin").unlink()
        assert ledger.get("train/one", [2], make).facts == {"times": 3}
    with open_run(folder) as opened, holding(folder):  # another process
        ledger = Ledger(opened)
        assert ledger.get("train/one", [2], make).facts == {"times": 3}
        assert ledger.names("train/") == ["train/one"]


def test_a_former_output_stays_until_the_new_one_is_whole(tmp_path):
    """A training that fails, or is killed, leaves the one before with its files."""
    folder = tmp_path / "b"

    def fails():
        ledger.file("one.bin", b"new")
        raise KeyboardInterrupt

    with open_run(folder, create=run.new_manifest()) as opened, holding(folder):
        ledger = Ledger(opened)
        ledger.get("train/one", [1], lambda: ([ledger.file("one.bin", b"old")], {}))
        with pytest.raises(KeyboardInterrupt):
            ledger.get("train/one", [2], fails)
        assert ledger.has("train/one", [1])
    assert (folder / "models" / "one.bin").read_bytes() == b"old"
    with open_run(folder) as opened:
        assert Ledger(opened).has("train/one", [1])
    assert [path.name for path in (folder / "models").iterdir()] == ["one.bin"]
