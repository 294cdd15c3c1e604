"""Same input and configuration, same bytes, whatever the workers, the memory and the commands."""

from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.config.sections import Config
from pipeline.run import STAGES
from pipeline.scan import inventory
from tests.e2e import corpora
from tests.e2e.command import (
    FEW_PLANTS,
    QUICK_SCORE,
    assert_same_files,
    few_plants,
    fresh,
    manifest,
    rote,
)

USUAL = [name for name, stage in STAGES.items() if stage.wanted(Config())]
GROUP_BYTES = 20_000
MANY_GROUPS = f"""
import pipeline.scan.inventory
pipeline.scan.inventory.GROUP_BYTES = {GROUP_BYTES}
{FEW_PLANTS}
"""
"""Groups of 4 MiB would put a small corpus into one unit of work; these make several."""

STEPS = ("scan", "score", "filter", "report")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Return a corpus of several shards."""
    return corpora.small(tmp_path_factory.mktemp("corpus") / "corpus", shards=6)


def in_groups(*arguments):
    """Run a command of this process with what MANY_GROUPS does to another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inventory, "GROUP_BYTES", GROUP_BYTES)
        few_plants(patch)
        return rote(*arguments)


@pytest.fixture(scope="module")
def usual(tmp_path_factory, corpus):
    """Return the folder of a run with two workers."""
    run = tmp_path_factory.mktemp("usual") / "run"
    asked = ("run", corpus, "--out", run, "--local", *QUICK_SCORE, "--set=limits.workers=2")
    ended = in_groups(*asked)
    assert ended.code == 0, ended.err
    outputs = manifest(run)["outputs"]
    assert sum(name.startswith("sketch/") for name in outputs) == 6
    assert sum(name.startswith("emit/") for name in outputs) == 6
    return run


def test_another_process_with_one_worker_and_little_memory_changes_no_byte(tmp_path, corpus, usual):
    """A second run, with its own hash seed and other limits, writes the same files bit for bit."""
    options = (*QUICK_SCORE, "--set=limits.workers=1", "--set=limits.memory=800000000")
    asked = ("run", corpus, "--out", tmp_path / "run", "--local", *options)
    ended = fresh(*asked, prelude=MANY_GROUPS)
    assert ended.code == 0, ended.err
    assert_same_files(tmp_path / "run", usual)


def test_four_workers_and_much_memory_change_no_byte(tmp_path, corpus, usual):
    """More units at a time, in another order of completion, write the same files bit for bit."""
    options = (*QUICK_SCORE, "--set=limits.workers=4", "--set=limits.memory=4000000000")
    asked = ("run", corpus, "--out", tmp_path / "run", "--local", *options)
    ended = in_groups(*asked)
    assert ended.code == 0, ended.err
    assert_same_files(tmp_path / "run", usual)


def test_the_commands_one_by_one_do_what_run_does(tmp_path, corpus, usual):
    """Scan, score, filter and report end with the bytes of run, settings given once."""
    run = tmp_path / "run"
    for step in STEPS:
        asked = (corpus, "--out", run, *QUICK_SCORE) if step == "scan" else (run,)
        ended = in_groups(step, *asked, "--local")
        assert ended.code == 0, ended.err
    assert_same_files(run, usual)


def test_running_again_does_nothing_and_changes_no_byte(corpus, usual):
    """All stages are current, so none works; limits count for nothing."""
    options = (*QUICK_SCORE, "--set=limits.workers=3")
    ended = rote("run", corpus, "--out", usual, "--local", *options)
    assert (ended.code, ended.performed) == (0, [])
    assert ended.err.count("already done") == len(USUAL)


def test_the_layout_of_a_parquet_file_changes_no_row(tmp_path):
    """Row groups, pages and compression of the same rows give the same tables."""
    table = corpora.rich_table([corpora.Prose(1).text(60 + row // 2) for row in range(40)])
    layouts: dict[str, dict[str, Any]] = {
        "one": {"row_group_size": 1000},
        "two": {"row_group_size": 3, "compression": "none"},
    }
    for name, layout in layouts.items():
        (tmp_path / name).mkdir()
        pq.write_table(table, tmp_path / name / "part.parquet", **layout)
        assert rote("scan", tmp_path / name, "--out", tmp_path / f"{name}-run", "--local").code == 0
        assert rote("filter", tmp_path / f"{name}-run", "--local").code == 0
    one, two = tmp_path / "one-run", tmp_path / "two-run"
    written = sorted(path.relative_to(one) for path in one.rglob("*.parquet"))
    assert written == sorted(path.relative_to(two) for path in two.rglob("*.parquet"))
    assert len(written) == 22
    for path in written:
        assert pq.read_table(one / path).equals(pq.read_table(two / path)), path


def test_events_are_the_only_place_of_times(usual):
    """Times are in the log of events and in no data file."""
    text = (usual / "manifest.json").read_text() + (usual / "report/report.json").read_text()
    assert "elapsed" not in text
    assert "elapsed_s" in (usual / "events/stages.jsonl").read_text()
