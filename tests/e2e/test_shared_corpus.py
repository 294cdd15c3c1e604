"""A scan and a filter of the real corpus beside the project, held against its exact truth."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import fresh

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    not (SHARED / "corpus" / "dev").is_dir(), reason="the shared corpus is not beside this project"
)
def test_the_shared_corpus_holds_against_its_truth(tmp_path):
    """Nothing is lost, removals are proved, groups, recall and window counts are the truth's."""
    run = tmp_path / "run"
    corpus = SHARED / "corpus" / "dev"
    scan = fresh("scan", corpus, "--out", run, "--local", seconds=1500)
    assert scan.code == 0, scan.err
    ended = fresh("filter", run, "--local", seconds=600)
    assert ended.code == 0, ended.err
    check = [sys.executable, SHARED / "reference" / "check.py", "all", run]
    held = subprocess.run(check, capture_output=True, text=True, timeout=1200, check=False)
    assert held.returncode == 0, held.stdout + held.stderr
    assert "wrong largest window count 0, wrong repeated words 0" in held.stdout
