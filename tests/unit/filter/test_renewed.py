"""A file written anew from its last version is the file that is written whole."""

import hashlib

import pyarrow as pa
import pytest

from pipeline.engine.files import digest_file
from pipeline.engine.tables import write_table
from pipeline.filter.emit import renewed
from pipeline.filter.emit.renewed import RenewedFile

ROTE = pa.struct(
    [
        pa.field("row_key", pa.uint64(), nullable=False),
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


def table(keys, seed):
    """Return rows, some of which a page cannot hold; the last column depends on the seed."""
    digests = [hashlib.blake2b(b"%d" % n).hexdigest() for n in keys]
    values = [
        {"row_key": n, "count": n * seed, "rule": "r" * (n % 3) or None, "masked": [n] * (n % seed)}
        for n in keys
    ]
    columns = [
        pa.array([one * (40_000 if n == 3 else 9) for n, one in zip(keys, digests, strict=True)]),
        pa.array([f"k{n % 3}" if n % 5 else None for n in keys], pa.string()),
        pa.array([[{"a": n}] * (n % 4) for n in keys], SCHEMA.field(2).type),
        pa.array(values, ROTE),
    ]
    return pa.table(columns, schema=SCHEMA)


def whole(folder, batches, seed):
    """Write a file in batches of rows, at most 64 in a row group; return its record."""
    with write_table(folder, "kept", "sub/a", SCHEMA, ["text"], 64) as out:
        for keys in batches:
            if len(keys):
                out.write(table(keys, seed))
    return out.record


def cut(rows, size):
    """Return the numbers of rows in batches of a size."""
    return [list(range(low, min(low + size, rows))) for low in range(0, rows, size)]


@pytest.mark.parametrize(("rows", "size"), [(0, 1), (5, 5), (300, 100)])
def test_other_values_in_the_last_column(tmp_path, rows, size):
    """The bytes are those of a file written whole, whatever the row groups."""
    batches = cut(rows, size)
    last = whole(tmp_path / "run", batches, 1)
    with RenewedFile(tmp_path / "run", last, "rote") as out:
        for keys in batches:
            assert out.take(keys[-1]).tolist() == keys
            out.renew(table(keys, 7)["rote"].combine_chunks())
    made = whole(tmp_path / "whole", batches, 7)
    assert out.record == made
    assert digest_file(tmp_path / "run" / last.path) == made.digest


def test_rows_that_come_and_go(tmp_path):
    """A batch is read and written in groups of its own; the others are copied."""
    batches = cut(300, 100)
    last = whole(tmp_path / "run", [batches[0][3:], batches[1], []], 1)
    with RenewedFile(tmp_path / "run", last, "rote") as out:
        assert out.take(99).tolist() == batches[0][3:]
        read = out.user_columns()
        assert read.schema.names == SCHEMA.names[:-1]
        assert read["kind"][:3].to_pylist() == ["k0", "k1", None]
        out.leave_out()
        out.write(table(batches[0], 7), 64, ["text"])
        out.take(199)
        out.renew(table(batches[1], 7)["rote"].combine_chunks())
        assert len(out.take(299)) == out.user_columns().num_rows == 0
        out.write(table(batches[2], 7), 64, ["text"])
    assert out.record == whole(tmp_path / "whole", batches, 7)


def test_values_that_are_what_they_were_are_copied(tmp_path, monkeypatch):
    """Nothing is encoded where a group has them; a zero of another sign is another value."""
    last = whole(tmp_path, cut(10, 5), 1)
    encoded = []
    monkeypatch.setattr(RenewedFile, "_encoded", lambda *given: encoded.append(given))
    with RenewedFile(tmp_path, last, "rote") as out:
        for keys in cut(10, 5):
            out.take(keys[-1])
            out.renew(table(keys, 1)["rote"].combine_chunks())
    assert out.record == last
    assert out.place == tmp_path / last.path
    assert encoded == []
    zeros = [pa.StructArray.from_arrays([pa.array([zero])], ["x"]) for zero in (0.0, -0.0)]
    assert zeros[0] == zeros[1]
    assert renewed._bits(zeros[0]) != renewed._bits(zeros[1])
