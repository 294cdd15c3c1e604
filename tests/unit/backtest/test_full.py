"""The one command for a large GPU: what it runs, and of which sizes."""

import importlib.util
import json
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.backtest.sizes import SIZES, target_shape
from pipeline.config.load import load_config
from pipeline.score.proxy.model import Shape
from tests.unit.backtest.tiny import SCORED, corpus

FULL = Path(__file__).parents[3] / "benchmarks" / "full.py"


@pytest.fixture(scope="module")
def full():
    """Return benchmarks/full.py as a module."""
    about = importlib.util.spec_from_file_location("full", FULL)
    assert about is not None
    assert about.loader is not None
    module = importlib.util.module_from_spec(about)
    about.loader.exec_module(module)
    return module


def settings_of(command):
    """Return the settings of a command."""
    return [part for before, part in pairwise(command) if before == "--set"]


def test_the_ladder_is_that_of_the_issue(full):
    """0.44, 1.8, 10.6 and 54 million, the last in another order as well, and 355 million."""
    score = full.commands(full.arguments(["corpus", "run"]))[1]
    config = load_config(settings=settings_of(score))
    sizes = [Shape(config.proxy.vocabulary, *shape).parameters for shape in config.proxy.shapes]
    assert [round(size / 1e6, 1) for size in sizes] == [0.4, 1.8, 10.6, 54.2]
    largest = config.proxy.shapes[-1]
    targets = [target_shape(2_048, largest, ratio).parameters for ratio in SIZES["full"].ratios]
    assert [round(size / 1e6) for size in targets] == [54, 355]


def test_what_fails_ends_the_command_and_no_traceback_is_seen(full, tmp_path, monkeypatch, capfd):
    """A corpus that is not there: its message, the code of the command, and how to go on."""
    monkeypatch.setattr("sys.argv", ["full.py", str(tmp_path / "none"), str(tmp_path / "run")])
    monkeypatch.setenv("PYTHONPATH", str(FULL.parents[1]))
    assert full.main() > 0
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert said.startswith("rote: ")
    assert said.endswith("stopped there; the same command goes on\n")


@pytest.mark.slow
def test_the_command_runs_on_a_cpu_with_small_shapes(full, tmp_path, monkeypatch):
    """The same four commands on a tiny corpus leave the record of a back-test."""
    run, record = tmp_path / "run", tmp_path / "record.json"
    given = ["full.py", str(corpus(tmp_path / "corpus")), str(run), "--size", "smoke"]
    given += ["--shapes", "1x32", "2x32", "3x32", "--sample-tokens", "16000", "--batch", "4"]
    kept = [setting for setting in SCORED if not setting.startswith(("proxy.s", "proxy.b"))]
    given += [part for setting in kept for part in ("--set", setting)]
    monkeypatch.setattr("sys.argv", [*given, "--arms", "", "--record", str(record)])
    monkeypatch.setenv("PYTHONPATH", str(FULL.parents[1]))
    assert full.main() == 0
    found = json.loads(record.read_bytes())
    assert found["corpus"] == "run"
    assert {row["target"] for row in found["rows"] if row["order"] == "its own"} == {"2x64"}
