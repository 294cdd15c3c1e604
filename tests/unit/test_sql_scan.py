import pyarrow as pa

from pipeline import query
from pipeline.candidates import BAND_KEYS
from schemas.buckets import BUCKETS
from schemas.candidates import CANDIDATES
from schemas.copies import COPIES
from schemas.signatures import SIGNATURES
from schemas.windows import OCCURRENCES, WINDOWS

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16
TOP = 2**64 - 1


def tuples(table):
    """Return the rows of a table as tuples."""
    return [tuple(row.values()) for row in table.to_pylist()]


def bucketed(rows):
    """Return columns of `buckets` from (band, bucket, rank, row_key, members)."""
    return dict(zip(BUCKETS.names, map(list, zip(*rows, strict=True)), strict=True))


def test_copies_groups_equal_hashes_under_their_first_row(stored):
    """Each document has the smallest row_key of its group and the group's size; order is by
    row_key.
    """
    paths = stored(SIGNATURES, row_key=[TOP, 3, 9, 1, 4], text_hash=[A, B, A, C, A])
    assert tuples(query.run("copies", {"signatures": paths}, schema=COPIES)) == [
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
    found = query.run("copies", {"signatures": [*one, *other]}, schema=COPIES)
    assert tuples(found) == [(1, 1, 2), (2, 1, 2)]


def test_buckets_keeps_shared_keys_and_ranks_by_place(stored):
    """A key of one document is no bucket; ranks follow `place`, then row_key; bands do not mix."""
    assert stored
    rows = [
        (0, 5, 30, 1),
        (0, 5, 10, 2),
        (0, 5, 10, 1_000),
        (0, 6, 1, 3),
        (1, 5, 1, 4),
        (1, TOP, 9, 5),
        (1, TOP, 8, TOP),
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    keys = pa.table(columns, schema=BAND_KEYS)
    assert tuples(query.run("buckets", {"band_keys": keys}, schema=BUCKETS)) == [
        (0, 5, 1, 2, 3),
        (0, 5, 2, 1_000, 3),
        (0, 5, 3, 1, 3),
        (1, TOP, 1, TOP, 2),
        (1, TOP, 2, 5, 2),
    ]


def test_candidates_pairs_a_small_bucket_in_full(stored):
    """Every two members of a bucket up to the cap meet once, the smaller row_key first."""
    paths = stored(
        BUCKETS,
        **bucketed(
            [
                (0, 7, 1, 30, 3),
                (0, 7, 2, 10, 3),
                (0, 7, 3, 20, 3),
                (1, 7, 1, 10, 2),
                (1, 7, 2, 30, 2),
            ]
        ),
    )
    params = {"cap": 3, "neighbours": 1}
    found = query.run("candidates", {"buckets": paths}, params, schema=CANDIDATES)
    assert tuples(found) == [(10, 20), (10, 30), (20, 30)]


def test_candidates_pairs_a_capped_bucket_with_its_neighbours_only(stored):
    """Above the cap each member meets the next `neighbours` in order of rank, and no other."""
    paths = stored(
        BUCKETS,
        **bucketed([(0, 7, rank, key, 5) for rank, key in enumerate([50, 20, 40, 10, 30], 1)]),
    )
    one = query.run("candidates", {"buckets": paths}, {"cap": 4, "neighbours": 1})
    two = query.run("candidates", {"buckets": paths}, {"cap": 4, "neighbours": 2})
    assert tuples(one) == [(10, 30), (10, 40), (20, 40), (20, 50)]
    assert tuples(two) == [
        (10, 20),
        (10, 30),
        (10, 40),
        (20, 40),
        (20, 50),
        (30, 40),
        (40, 50),
    ]


def test_capped_counts_buckets_and_documents_above_the_cap(stored):
    """A document of two capped buckets is counted once; the largest bucket is told in any case."""
    rows = [(0, 7, n, n, 3) for n in (1, 2, 3)] + [(1, 7, n, n, 4) for n in (1, 2, 3, 4)]
    rows += [(2, 8, n, n, 2) for n in (8, 9)]
    paths = stored(BUCKETS, **bucketed(rows))
    assert query.run("capped", {"buckets": paths}, {"cap": 2}).to_pylist() == [
        {"capped_buckets": 2, "capped_documents": 4, "largest_bucket": 4}
    ]
    assert query.run("capped", {"buckets": paths}, {"cap": 4}).to_pylist() == [
        {"capped_buckets": 0, "capped_documents": 0, "largest_bucket": 4}
    ]


def test_capped_of_no_bucket_is_zero(stored):
    """Without buckets there is one row of zeros."""
    paths = stored(BUCKETS, band=[], bucket=[], row_key=[], members=[])
    assert query.run("capped", {"buckets": paths}, {"cap": 2}).to_pylist() == [
        {"capped_buckets": 0, "capped_documents": 0, "largest_bucket": 0}
    ]


def test_windows_counts_what_occurs_twice_and_its_documents(stored):
    """Occurrences count repeats inside a document, documents do not; a window of one occurrence
    goes.
    """
    paths = stored(
        OCCURRENCES, hash=[TOP, 5, 5, 5, 6, TOP], first=[True, True, False, True, True, False]
    )
    assert tuples(query.run("windows", {"occurrences": paths}, schema=WINDOWS)) == [
        (5, 3, 2),
        (TOP, 2, 1),
    ]


def test_counted_occurrences_keeps_repeated_windows_in_text_order(stored):
    """Occurrences of windows that turned out not to repeat go; the rest is by row_key and word."""
    occurrences = stored(OCCURRENCES, hash=[5, 6, 5, 5], row_key=[9, 2, 2, 2], word=[0, 0, 7, 1])
    windows = stored(WINDOWS, hash=[5], occurrences=[3], documents=[2])
    inputs = {"occurrences": occurrences, "windows": windows}
    assert tuples(query.run("counted_occurrences", inputs)) == [
        (2, 1, 5, 3, 2),
        (2, 7, 5, 3, 2),
        (9, 0, 5, 3, 2),
    ]


def test_window_links_joins_documents_to_the_first_holder(stored):
    """Each later holder of a window is linked to its first; too common and single-document ones
    link nothing.
    """
    occurrences = stored(
        OCCURRENCES,
        hash=[5, 5, 5, 5, 6, 6, 7, 7, 7, 7],
        row_key=[3, 1, 2, 1, 4, 4, 1, 2, 3, 4],
        first=[True, True, True, False, True, False, True, True, True, True],
    )
    windows = stored(WINDOWS, hash=[5, 6, 7], occurrences=[4, 2, 4], documents=[3, 1, 4])
    inputs = {"occurrences": occurrences, "windows": windows}
    found = query.run("window_links", inputs, {"link_documents": 3})
    assert tuples(found) == [(1, 2), (1, 3)]
    found = query.run("window_links", inputs, {"link_documents": 4})
    assert tuples(found) == [(1, 2), (1, 3), (1, 4)]


def test_window_counts_are_of_the_wanted_documents_in_text_order(stored):
    """Occurrences of repeated windows in other documents, and of windows that do not repeat, go."""
    occurrences = stored(
        OCCURRENCES, hash=[5, 6, 5, 7, 5], row_key=[9, 2, 2, 2, 4], word=[0, 8, 7, 1, 0]
    )
    windows = stored(WINDOWS, hash=[5, 7], occurrences=[3, 2])
    wanted = pa.table({"row_key": pa.array([9, 2], pa.uint64())})
    inputs = {"wanted": wanted, "occurrences": occurrences, "windows": windows}
    assert tuples(query.run("window_counts", inputs)) == [(2, 1, 2), (2, 7, 3), (9, 0, 3)]
