"""The page of docs/scale.md says what its records say, and what it computes follows its rules."""

import pytest

from benchmarks import scale
from benchmarks.scale import (
    GB,
    IN_PARTS,
    PAGE,
    TABLES,
    TB,
    WOULD_BE,
    corpus,
    filled,
    simulated,
    walls,
)
from benchmarks.scheduler import makespan
from pipeline.engine.memory import DOCUMENT
from pipeline.engine.shards import ROW_BITS
from pipeline.run import STAGES
from pipeline.scan.inventory import GROUP_BYTES, GROUPS_AT_MOST, LARGEST_GROUP_BYTES
from pipeline.scan.rejections import MOST_DOCUMENTS
from pipeline.scan.repeats.chosen import LARGEST_TABLE_BITS
from pipeline.storage.fetching import RANGE_BYTES


def test_the_tables_of_the_page_are_those_of_the_records() -> None:
    """`python -m benchmarks.scale` leaves the page as it is, and every table is on it."""
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page
    assert all(page.count(f"<!-- made: {name} -->") == 1 for name in TABLES)


def test_limits_are_those_of_the_code() -> None:
    """What the page computes with is what the code has."""
    assert (scale.GROUP_BYTES, scale.GROUPS) == (GROUP_BYTES, GROUPS_AT_MOST)
    assert scale.LARGEST_GROUP == LARGEST_GROUP_BYTES
    assert scale.DOCUMENT_BYTES == DOCUMENT
    assert scale.ANCHOR_VALUES == 2**LARGEST_TABLE_BITS
    assert scale.NUMBERS == MOST_DOCUMENTS + 1
    assert (scale.ROWS, scale.SHARDS) == (2**ROW_BITS, 2 ** (64 - ROW_BITS))
    assert scale.RANGE_BYTES == RANGE_BYTES
    assert {name for name in STAGES if STAGES[name].spreads} == {*IN_PARTS, "contained"}


def test_a_run_is_no_faster_than_its_work_and_no_slower_alone() -> None:
    """More nodes never take longer; parts never more than one unit; a long part never less."""
    of = corpus(10 * TB)
    one, many = (makespan(simulated(of, nodes, parts=WOULD_BE)) for nodes in (10, 100))
    assert many < one < 10.5 * many
    assert makespan(simulated(of, 100, parts=())) > many
    assert makespan(simulated(of, 100, parts=WOULD_BE, lines=1e8)) > many


def test_groups_follow_the_corpus_alone() -> None:
    """100 GB are 200 groups, 10 TB as many as there are GiB."""
    assert corpus(100 * GB).groups == GROUPS_AT_MOST
    assert corpus(10 * TB).groups == pytest.approx(10e12 / 2**30, abs=1)


def test_walls_stand_in_the_order_in_which_they_are_met() -> None:
    """The first one is the smallest corpus, and each is at a size that can be."""
    sizes = [wall.at for wall in walls()]
    assert sizes == sorted(sizes)
    assert sizes[0] > GB
