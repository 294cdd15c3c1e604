"""What is carried to a large corpus follows the limits of the code and the rules of a scheduler."""

import pytest

from benchmarks import carried
from benchmarks.carried import GB, IN_PARTS, TB, WOULD_BE, corpus, simulated
from benchmarks.scheduler import makespan
from pipeline.engine.memory import DOCUMENT
from pipeline.engine.shards import ROW_BITS
from pipeline.run import STAGES
from pipeline.scan.inventory import GROUP_BYTES, GROUPS_AT_MOST, LARGEST_GROUP_BYTES
from pipeline.scan.rejections import MOST_DOCUMENTS
from pipeline.scan.repeats.chosen import LARGEST_TABLE_BITS
from pipeline.storage.fetching import RANGE_BYTES


def test_limits_are_those_of_the_code() -> None:
    """What the page computes with is what the code has."""
    assert (carried.GROUP_BYTES, carried.GROUPS) == (GROUP_BYTES, GROUPS_AT_MOST)
    assert carried.LARGEST_GROUP == LARGEST_GROUP_BYTES
    assert carried.DOCUMENT_BYTES == DOCUMENT
    assert carried.ANCHOR_VALUES == 2**LARGEST_TABLE_BITS
    assert carried.NUMBERS == MOST_DOCUMENTS + 1
    assert (carried.ROWS, carried.SHARDS) == (2**ROW_BITS, 2 ** (64 - ROW_BITS))
    assert carried.RANGE_BYTES == RANGE_BYTES
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
