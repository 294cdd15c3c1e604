import pyarrow as pa

from pipeline.engine import query
from pipeline.scan.near.candidates import MET
from schemas.scan.candidates import CANDIDATES
from schemas.scan.copies import COPIES
from schemas.scan.signatures import SIGNATURES

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16
TOP = 2**64 - 1


def tuples(table):
    """Return the rows of a table as tuples."""
    return [tuple(row.values()) for row in table.to_pylist()]


def test_copies_groups_equal_hashes_under_their_first_row(stored):
    """Each document has the smallest row_key of its group and the group's size; order is by
    row_key.
    """
    paths = stored(SIGNATURES, row_key=[TOP, 3, 9, 1, 4], text_hash=[A, B, A, C, A])
    assert tuples(query.run("scan/copies", {"signatures": paths}, schema=COPIES)) == [
        (1, 1, 1),
        (3, 3, 1),
        (4, 4, 3),
        (9, 4, 3),
        (TOP, 4, 3),
    ]


def test_copies_reads_several_files_as_one(stored):
    """A group may span files."""
    one = stored(SIGNATURES, row_key=[1], text_hash=[A])
    other = stored(SIGNATURES, row_key=[2], text_hash=[A])
    found = query.run("scan/copies", {"signatures": [*one, *other]}, schema=COPIES)
    assert tuples(found) == [(1, 1, 2), (2, 1, 2)]


def test_candidates_names_each_pair_once_in_order():
    """Pairs that met in several bands or batches are listed once, ascending, up to the last key."""
    rows = [(5, 9), (1, TOP), (5, 9), (1, 2), (TOP - 1, TOP), (1, TOP), (5, 6)]
    met = pa.table([list(side) for side in zip(*rows, strict=True)], schema=MET)
    expected = [(1, 2), (1, TOP), (5, 6), (5, 9), (TOP - 1, TOP)]
    assert tuples(query.run("scan/candidates", {"met": met}, schema=CANDIDATES)) == expected
    batches = pa.RecordBatchReader.from_batches(MET, iter(met.to_batches(max_chunksize=2)))
    assert tuples(query.run("scan/candidates", {"met": batches}, schema=CANDIDATES)) == expected


def test_candidates_of_no_pair_is_empty():
    """Without buckets there are no rows and no error."""
    reader = pa.RecordBatchReader.from_batches(MET, iter(()))
    assert tuples(query.run("scan/candidates", {"met": reader}, schema=CANDIDATES)) == []
