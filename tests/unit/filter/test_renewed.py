"""A file written anew with another last column is the file that is written whole."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engine.files import digest_file
from pipeline.engine.tables import write_table
from pipeline.errors import IntegrityError
from pipeline.filter.emit.renewed import RenewedFile

ROTE = pa.struct(
    [
        pa.field("count", pa.int64(), nullable=False),
        pa.field("rule", pa.string()),
        pa.field("masked", pa.list_(pa.field("item", pa.int64(), nullable=False))),
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("nested.name", pa.list_(pa.struct([("a", pa.int32())]))),
        pa.field("rote", ROTE, nullable=False),
    ],
    metadata={"mine": "yes"},
)


def texts(rows):
    """Return the user's columns of some rows, some of which a page cannot hold."""
    digests = [hashlib.blake2b(b"%d" % n).hexdigest() for n in range(rows)]
    return [
        pa.array([one * (40_000 if n == 3 else 9) for n, one in enumerate(digests)]),
        pa.array([f"k{n % 3}" if n % 5 else None for n in range(rows)]),
        pa.array([[{"a": n}] * (n % 4) for n in range(rows)], SCHEMA.field(2).type),
    ]


def numbers(rows, seed):
    """Return a last column."""
    values = [
        {"count": n * seed, "rule": "r" * (n % 3) or None, "masked": [n] * ((n + seed) % 3)}
        for n in range(rows)
    ]
    return pa.array(values, ROTE)


def whole(folder, rows, seed, groups):
    """Write a file in batches of so many rows; return its record."""
    table = pa.table([*texts(rows), numbers(rows, seed)], schema=SCHEMA)
    with write_table(folder, "kept", "sub/a", SCHEMA, ["text"], 64) as out:
        for low in range(0, rows, groups):
            out.write(table.slice(low, groups))
    return out.record


@pytest.mark.parametrize(("rows", "groups", "at_once"), [(0, 1, 1), (5, 5, 2), (300, 100, 7)])
def test_the_bytes_are_those_of_a_file_written_whole(tmp_path, rows, groups, at_once):
    """Whatever the row groups, and however many values are given at a time."""
    last = whole(tmp_path / "run", rows, 1, groups)
    with RenewedFile(tmp_path / "run", last, "rote") as out:
        column = numbers(rows, 70_000)
        for low in range(0, rows, at_once):
            out.write(column.slice(low, at_once))
    made = whole(tmp_path / "whole", rows, 70_000, groups)
    assert out.record == made
    assert digest_file(tmp_path / "run" / last.path) == made.digest
    assert pq.read_table(tmp_path / "run" / last.path)["rote"].combine_chunks() == column


def test_fewer_values_than_rows_are_refused(tmp_path):
    """Rows would be lost; the last file stays as it was."""
    last = whole(tmp_path, 10, 1, 5)
    with (
        pytest.raises(IntegrityError, match="reads back short"),
        RenewedFile(tmp_path, last, "rote") as out,
    ):
        out.write(numbers(7, 2))
    assert digest_file(tmp_path / last.path) == last.digest
    assert [path.name for path in (tmp_path / "kept/sub").iterdir()] == ["a.parquet"]
