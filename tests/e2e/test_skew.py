"""Skewed corpora in small: the output is right, and a row costs no more where there are more."""

import pytest

from benchmarks.skew import CAP, KINDS, rows, write, wrong
from benchmarks.skew import Words as Drawn
from pipeline.scan.near.crowd_kernels import PER_ORDER

NEIGHBOURS = 8  # `near.neighbours`, by default
MOST_PAIRS = NEIGHBOURS + 2 * PER_ORDER + (CAP - 1) / 2
"""Pairs of a document at most: those of its lists, and those of one bucket at the cap."""
SMALL = {
    "template": (600, 31),
    "copies": (3_000, 12),
    "bucket": (400, 375),
    "cap": (2 * CAP, 100),
    "chain": (300, 120),
    "passages": (300, 120),
    "document": (1, 60_000),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory, scan):
    """Give a function that scans and filters a kind of so many rows, once each."""
    made = {}

    def run(name, many, length):
        if (name, many) not in made:
            folder = tmp_path_factory.mktemp(f"{name}{many}")
            given = write(folder / "c", KINDS[name].texts(Drawn(), many, length))
            made[name, many] = given, scan(folder / "c", folder / "run")
        return made[name, many]

    return run


@pytest.mark.parametrize("name", SMALL)
def test_the_output_of_a_skewed_corpus_is_right(done, name):
    """No row is lost, none goes without a kept keeper, and what must go or stay does."""
    given, finished = done(name, *SMALL[name])
    assert wrong(finished.folder, KINDS[name], given) == {}


@pytest.mark.parametrize("name", ["template", "bucket", "cap", "chain"])
def test_rows_of_near_copies_are_bounded_by_document(done, name):
    """Twice as many documents that are alike have at most twice as many rows, and few each."""
    many, length = SMALL[name]
    _, small = done(name, many, length)
    _, large = done(name, 2 * many, length)
    before, after = rows(small.folder), rows(large.folder)
    for table in ("buckets", "candidates", "pairs"):
        assert after[table] <= 2.2 * before[table], table
    assert after["candidates"] <= MOST_PAIRS * 2 * many
    assert after["links"] <= 2 * many


@pytest.mark.parametrize("name", ["bucket", "chain"])
@pytest.mark.parametrize("stage", ["pairs", "windows"])
def test_a_bucket_larger_than_memory_gives_the_same_bytes(done, tmp_path, name, stage):
    """Texts are compared and windows counted with the same bytes where memory has room for none."""
    _, finished = done(name, *SMALL[name])
    again = finished.redone(stage, tmp_path / "again", memory=1 << 20)
    assert again.files(stage) == finished.files(stage)
