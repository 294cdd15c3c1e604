"""A few cases of each part of the campaign (`make campaign`), and its table."""

import json
from itertools import islice
from pathlib import Path

import pytest

from tests.campaign import damages, flips, hostile, kills, power, refusals
from tests.campaign.case import GOOD, Found, Result, told
from tests.campaign.ground import Ground
from tests.campaign.table import markdown, table
from tests.campaign.terminal import EVIL, require_tame
from tests.e2e.command import Ended

ROOT = Path(__file__).resolve().parents[2]
SEED = 3
"""The campaign's own seed is another: these are other cases."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """Return what the cases start from; `whole` is without a score, which takes long."""
    made = Ground(tmp_path_factory.mktemp("ground"))
    made.__dict__["whole"] = made.reported
    made.__dict__["older"] = made.filtered
    made.__dict__["other"] = made.scanned
    return made


def tried(cases, folder, count, *rows):
    """Try the first cases, of those rows; every outcome must be a good one."""
    chosen = islice((case for case in cases if not rows or case.row in rows), count)
    for number, case in enumerate(chosen):
        place = folder / str(number)
        place.mkdir()
        assert case.act(place) in GOOD, case.name


def test_kills(ground, tmp_path):
    """A dozen signals at seeded moments of scan, filter and report."""
    tried(kills.cases(ground, SEED), tmp_path, 3, "scan", "filter", "report")


def test_damages(ground, tmp_path):
    """A dozen damages of any file, each with one command."""
    tried(damages.cases(ground, SEED), tmp_path, 12, *damages.READING, "filter", "report")


def test_flips(ground, tmp_path):
    """A dozen flipped bits of the manifest."""
    tried(flips.cases(ground, SEED), tmp_path, 12)


def test_refusals(ground, tmp_path):
    """Some calls of the filter and the report that fail."""
    rows = [f"{call}, {act}" for call in refusals.CALLS for act in ("filter", "report")]
    tried(refusals.cases(ground, SEED), tmp_path, 3, *rows)


def test_power(ground, tmp_path):
    """Some moments at which the power goes."""
    tried(power.cases(ground, SEED), tmp_path, 4)


def test_hostile(ground, tmp_path):
    """A dozen hostile settings and run folders on a terminal."""
    tried(hostile.cases(ground, SEED), tmp_path, 12, "settings", "run folders")


def test_rewritten_facts_are_refused(ground, tmp_path):
    """Facts of every stage that someone rewrote and sealed anew are refused by a report."""
    cases = (
        case for case in hostile.cases(ground, SEED) if case.name == "facts that escape, report"
    )
    tried(cases, tmp_path, 1)


def test_the_campaign_sees_what_is_bad():
    """A traceback, a fault of ours, a bare message and an escape are each found."""
    for ended, outcome in (
        (Ended(1, "", "Traceback (most recent call last):\n"), "traceback"),
        (Ended(1, "", "rote: This is a fault in rote itself; x\n  where: y"), "traceback"),
        (Ended(1, "", "rote: something\n"), "wrong"),
        (Ended(-11, "", ""), "wrong"),
    ):
        with pytest.raises(Found) as found:
            told(ended)
        assert found.value.outcome == outcome
    for said in (EVIL, "\rrote: forged", "\x9b31m"):
        with pytest.raises(Found):
            require_tame(said)


def test_the_table_counts_what_was_tried():
    """Rows by part, outcomes by weight, and a bad case in words."""
    found = table(
        [
            Result("kills", "scan", "0", "same", weight=4),
            Result("flips", "query", "1", "refused"),
            Result("kills", "scan", "2", "lost", "pairs gone"),
        ],
        {"damages": 9},
    )
    assert [(row["part"], row["tried"], row["lost"]) for row in found["rows"]] == [
        ("kills", 5, 1),
        ("flips", 1, 0),
    ]
    assert found["bad"] == [{"part": "kills", "name": "2", "lost": "pairs gone"}]
    assert "| kills | scan | 5 | 0 | 4 | 0 | 0 | 1 | 0 | 0 | 0 |" in markdown(found)


def test_the_page_has_the_recorded_table():
    """docs/reliability.md shows the table of the last recorded campaign, which has no bad row."""
    recorded = max((ROOT / "benchmarks" / "results").glob("campaign-*.json"))
    found = json.loads(recorded.read_text())
    page = (ROOT / "docs" / "reliability.md").read_text()
    assert markdown(found) in page
    assert recorded.name in page
    assert found["bad"] == []
