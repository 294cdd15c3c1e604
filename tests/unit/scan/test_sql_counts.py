import pyarrow as pa
import pytest

from pipeline.engine import query
from schemas.scan.buckets import BUCKETS
from schemas.scan.copies import COPIES
from schemas.scan.counts import COUNTS
from schemas.scan.families import FAMILIES
from schemas.scan.pairs import PAIRS
from schemas.scan.signatures import SIGNATURES
from schemas.scan.spans import REPEATS

A = b"a" * 16
SHARD = 1 << 40
SHARDS = pa.table(
    {
        "number": pa.array([0, 1], pa.uint64()),
        "name": ["top.jsonl", "deep/er/x.parquet"],
        "folder": ["(top folder)", "deep/er"],
        "split": pa.array(["train", None], pa.string()),
    }
)


@pytest.fixture
def counted(stored):
    """Give a function that runs the query over documents; other inputs are given by name."""

    def run(keys, **given):
        count = len(keys)
        tables = {
            "signatures": (
                SIGNATURES,
                {
                    "row_key": keys,
                    "doc_id": [f"d{n}" for n in range(count)],
                    "source": given.get("source", [None] * count),
                    "priority": given.get("priority", [None] * count),
                    "priority_rest": [0.0] * count,
                    "text_bytes": [10] * count,
                    "words": given.get("words", [60] * count),
                    "symbols": ["+"] * count,
                    "text_hash": [A] * count,
                },
            ),
            "copies": (
                COPIES,
                {
                    "row_key": keys,
                    "representative": given.get("representative", keys),
                    "exact_count": given.get("exact_count", [1] * count),
                },
            ),
            "pairs": (PAIRS, given.get("pairs", {n: [] for n in PAIRS.names})),
            "buckets": (BUCKETS, given.get("buckets", {"row_key": [], "members": []})),
            "repeats": (REPEATS, given.get("repeats", {n: [] for n in REPEATS.names})),
            "families": (FAMILIES, {"row_key": keys, "family": ["f"] * count}),
        }
        inputs = {name: stored(schema, **columns) for name, (schema, columns) in tables.items()}
        params = {"cap": given.get("cap", 128), "window_words": 50}
        return query.run("scan/counts", {"shards": SHARDS, **inputs}, params, schema=COUNTS)

    return run


def groups(found):
    """Return the source groups in order."""
    return found["source_group"].to_pylist()


def test_a_row_of_counts_joins_all_tables(counted):
    """One literal row out of the six tables and the list of shards."""
    found = counted(
        [SHARD + 7],
        priority=[0.5],
        repeats={"row_key": [SHARD + 7], "max_window_count": [4], "repeated_words": [55]},
    )
    assert found.to_pylist() == [
        {
            "row_key": SHARD + 7,
            "doc_id": "d0",
            "shard": "deep/er/x.parquet",
            "row": 7,
            "source": None,
            "split": None,
            "source_group": "deep/er",
            "priority": 0.5,
            "priority_rest": 0.0,
            "text_bytes": 10,
            "words": 60,
            "symbols": "+",
            "text_hash": A,
            "representative": SHARD + 7,
            "exact_count": 1,
            "effective_count": 1.0,
            "near_capped": False,
            "family": "f",
            "max_window_count": 4,
            "repeated_words": 55,
        }
    ]


def test_rows_are_ordered_by_row_key(counted):
    """Documents come by shard number, then row."""
    found = counted([SHARD, 2, SHARD + 1, 1])
    assert found["row_key"].to_pylist() == [1, 2, SHARD, SHARD + 1]


def test_effective_count_is_the_formula_over_neighbouring_groups(counted):
    """Each neighbour counts size x exp(-0.113 - 3.50 (1 - s^0.2)), s the share of one's own
    shingles.
    """
    found = counted(
        [1, 2, 3, 4],
        representative=[1, 2, 2, 4],
        exact_count=[1, 2, 2, 1],
        pairs={
            "a": [1, 1],
            "b": [2, 4],
            "inter": [8, 10],
            "union": [12, 20],
            "size_a": [10, 10],
            "size_b": [10, 20],
        },
    )
    expected = [1 + 2 * 0.766618 + 0.893151, 2.766618, 2.766618, 1.567751]
    assert found["effective_count"].to_pylist() == pytest.approx(expected, abs=1e-12)


def test_windows_of_a_document(counted):
    """A document too short for a window counts 0, one without a repeated window 1."""
    found = counted(
        [1, 2, 3],
        words=[49, 50, 80],
        repeats={"row_key": [3], "max_window_count": [9], "repeated_words": [70]},
    )
    assert found["max_window_count"].to_pylist() == [0, 1, 9]
    assert found["repeated_words"].to_pylist() == [0, 0, 70]


def test_copies_of_a_capped_text_are_capped_too(counted):
    """A bucket above the cap marks all documents with the text of its members; one at the cap does
    not.
    """
    found = counted(
        [1, 2, 3, 4],
        representative=[1, 1, 3, 4],
        exact_count=[2, 2, 1, 1],
        buckets={"row_key": [1, 3, 1], "members": [5, 4, 9]},
        cap=4,
    )
    assert found["near_capped"].to_pylist() == [True, True, False, False]


def test_source_groups_are_the_values_when_they_repeat(counted):
    """Ten rows a value on average: groups are the values, `(none)` where null, slashes and all."""
    source = ["web/a"] * 10 + ["web/b"] * 10 + [None]
    found = counted(list(range(21)), source=source)
    assert groups(found) == ["web/a"] * 10 + ["web/b"] * 10 + ["(none)"]


def test_source_groups_are_first_segments_when_values_are_many(counted):
    """Fewer than ten rows a value, ten or more a first path segment: groups are the segments."""
    source = [f"web/{n // 2}" for n in range(10)] + [f"book/{n}" for n in range(10)] + [None]
    found = counted(list(range(21)), source=source)
    assert groups(found) == ["web"] * 10 + ["book"] * 10 + ["(none)"]


def test_source_groups_are_folders_when_segments_are_many_too(counted):
    """Values that hardly repeat in any form leave the shard's folder, for null sources as well."""
    found = counted([0, 1, SHARD, SHARD + 1], source=["a", "b", "c", None])
    assert groups(found) == ["(top folder)", "(top folder)", "deep/er", "deep/er"]


def test_source_groups_are_folders_without_sources(counted):
    """A corpus without a source column, or with only nulls in it, is grouped by folder."""
    assert groups(counted([0, SHARD])) == ["(top folder)", "deep/er"]


def test_more_than_a_thousand_values_are_not_groups(counted):
    """1,001 values of ten rows each fall back to their first segments, 1,000 do not."""
    rows = range(10_010)
    found = counted(list(rows), source=[f"s{n % 3}/{n % 1001}" for n in rows])
    assert set(groups(found)) == {"s0", "s1", "s2"}
    found = counted(list(rows)[:10_000], source=[f"s{n % 1000}" for n in rows][:10_000])
    assert len(set(groups(found))) == 1000
