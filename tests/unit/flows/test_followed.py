"""How far a command is, and what its run is called."""

from pathlib import Path
from typing import Any

import pytest

from flows.followed import Followed, run_name
from pipeline.config.load import load_config
from pipeline.engine.progress import Silent
from pipeline.engine.run_folder import RunFolder
from pipeline.engine.session import Session, idle
from pipeline.run import STAGES, new_manifest


@pytest.mark.parametrize(
    ("roots", "expected"),
    [
        (["/data/corpus"], "corpus scan 14"),
        (["s3://bucket/web"], "web scan 14"),
        (["@/data/list.txt"], "list.txt scan 14"),
        (["/data/web", "/data/books", "/data/code"], "web and 2 more scan 14"),
        (["/data/*.jsonl"], "corpus scan 14"),
        (["/data/\u202egnp"], "\\u202egnp scan 14"),
    ],
)
def test_a_run_is_named_by_corpus_command_and_scan(roots, expected):
    """Nothing of a name acts on a terminal or a page."""
    assert run_name(roots, "scan", 14) == expected


def test_before_the_scan_has_a_number_the_name_has_none():
    """As when a run fails before its inventory."""
    assert run_name(["/data/corpus"], "run --no-score") == "corpus run --no-score"


def test_progress_counts_each_stage_the_same_and_ends_at_one():
    """Skipped stages count as done, units in parts, and one long unit by what it says."""
    manifest: dict[str, Any] = new_manifest()
    session = Session(RunFolder(Path("run"), manifest), load_config(), idle, STAGES)
    names: list[str] = []
    followed = Followed(session, "report", Silent(), names.append)
    followed.stage("report", 4)
    shares = []
    for _ in range(4):
        followed.unit_done("report")
        shares.append(followed.share)
    assert shares == [0.25, 0.5, 0.75, 1.0]
    manifest["corpus"]["roots"], manifest["scan"] = ["/data/corpus"], 3
    followed = Followed(session, "scan", Silent(), names.append)
    stages = 8
    followed.skipped("sketch")
    assert followed.share == pytest.approx(1 / stages)
    followed.stage("copies", 1)
    followed.advance(1, 2)
    assert followed.share == pytest.approx(1.5 / stages)
    assert names == ["corpus report 0", "corpus scan 3"]
    assert followed.said == "copies: 0 of 1 units"
