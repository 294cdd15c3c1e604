"""The declaration of a back-test, its ledger of outputs, and exposure."""

import json

import pytest

from pipeline import run
from pipeline.backtest.judgement.preregistered import NAME, comparisons, declaration, declare
from pipeline.backtest.ledger import Ledger
from pipeline.backtest.sizes import SIZES
from pipeline.config.sections import Config
from pipeline.engine.run_folder import open_run
from pipeline.errors import ConfigError

DECLARED = declaration(SIZES["smoke"], Config())


def test_a_declaration_is_written_before_anything_is_trained(tmp_path):
    """It can be read back, and written anew as long as no target is trained."""
    declare(tmp_path, DECLARED, [])
    assert json.loads((tmp_path / NAME).read_text()) == DECLARED
    declare(tmp_path, {**DECLARED, "precision": 0.8}, [])
    assert json.loads((tmp_path / NAME).read_text())["precision"] == 0.8


def test_a_declaration_cannot_be_changed_afterwards(tmp_path):
    """With a trained target another threshold is refused by its name; the same one passes."""
    declare(tmp_path, DECLARED, [])
    declare(tmp_path, DECLARED, ["train/target"])
    with pytest.raises(ConfigError, match="cannot be changed") as caught:
        declare(tmp_path, {**DECLARED, "precision": 0.8}, ["train/target"])
    assert "precision" in str(caught.value)
    assert json.loads((tmp_path / NAME).read_text()) == DECLARED


def test_every_baseline_is_declared_for_both_forecasts():
    """Ten comparisons of each forecast, all on the stratum that leaves canaries out."""
    found = comparisons()
    assert len(found) == 20
    assert {one["stratum"] for one in found} == {"natural + fuzzy + template"}
    assert "proxy flag" in {one["baseline"] for one in found}


def test_an_output_is_made_once_and_again_when_its_parts_change(tmp_path):
    """The ledger skips what is there, remakes what is of other parts or whose file is gone."""
    made = []

    def make():
        made.append(1)
        return [ledger.file("one.bin", b"x" * len(made))], {"times": len(made)}

    with open_run(tmp_path / "b", create=run.new_manifest()) as opened:
        ledger = Ledger(opened)
        first = ledger.get("train/one", [1], make)
        assert ledger.get("train/one", [1], make) == first
        assert len(made) == 1
        assert ledger.get("train/one", [2], make).facts == {"times": 2}
        (tmp_path / "b" / "models" / "one.bin").unlink()
        assert ledger.get("train/one", [2], make).facts == {"times": 3}
    with open_run(tmp_path / "b") as opened:  # another process
        ledger = Ledger(opened)
        assert ledger.get("train/one", [2], make).facts == {"times": 3}
        assert ledger.names("train/") == ["train/one"]
