import csv
from typing import Any

import pyarrow as pa
import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard, find_shards, read_documents, shard_schema
from pipeline.errors import CorruptFile, SchemaMismatch


def open_shard(path, data):
    """Write a file and return its shard."""
    if path.suffix in (".gz", ".zst"):
        codec = {".gz": "gzip", ".zst": "zstd"}[path.suffix]
        with pa.CompressedOutputStream(str(path), codec) as stream:
            stream.write(data)
    else:
        path.write_bytes(data)
    return find_shards([str(path)])[0][0]


def read_all(shard, config=None, **options):
    """Return good rows, rejected rows, kept columns and rejected columns in plain values."""
    good: list[tuple[Any, ...]] = []
    refused: list[tuple[int, Any]] = []
    bad, kept = [], []
    for batch in read_documents(shard, config or InputConfig(), **options):
        arrays = (batch.texts, batch.ids, batch.sources, batch.priorities)
        good += zip(batch.rows.tolist(), *(array.to_pylist() for array in arrays), strict=True)
        bad += [(item.row, item.reason, item.text) for item in batch.rejected]
        if batch.columns is not None:
            assert batch.rejected_columns is not None
            kept += batch.columns.to_pylist()
            refused += zip(
                batch.rejected_rows.tolist(), batch.rejected_columns.to_pylist(), strict=True
            )
    return good, bad, kept, refused


DATA = (
    b"\xef\xbb\xbfid,text,source,n\r\n"
    b"1,plain,s,007\r\n"
    b"\r\n"
    b'NA,"two\r\nlines, ""quoted""",,2024-01-01\n'
    b"3,too few\n"
    b"4,too,many,fields,here\n"
    b"5,bad \xff bytes,s,1\n"
    b",,s,\n"
    b'7,"five "" inch",true, x \n'
    b'8,5" disk,s,NULL\n'
    b'9,"never closed,s,1\nto the end\n'
)


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.csv.zst"])
@pytest.mark.parametrize("batch_bytes", [1, 40, 1 << 20])
def test_fields_are_strings_as_written_and_bad_records_cost_their_row(tmp_path, name, batch_bytes):
    """Nothing is guessed; wrong counts and bytes are rejected with their raw text."""
    shard = open_shard(tmp_path / name, DATA)
    good, bad, kept, refused = read_all(shard, everything=True, batch_bytes=batch_bytes)
    assert good == [
        (0, "plain", "1", "s", None),
        (1, 'two\r\nlines, "quoted"', "NA", None, None),
        (6, 'five " inch', "7", "true", None),
        (7, '5" disk', "8", "s", None),
    ]
    assert bad == [
        (2, "csv_fields", b"3,too few"),
        (3, "csv_fields", b"4,too,many,fields,here"),
        (4, "invalid_utf8", b"5,bad \xff bytes,s,1"),
        (5, "empty_text", b""),
        (8, "csv_fields", b'9,"never closed,s,1\nto the end'),
    ]
    assert [tuple(row.values()) for row in kept] == [
        ("1", "plain", "s", "007"),
        ("NA", 'two\r\nlines, "quoted"', "", "2024-01-01"),
        ("7", 'five " inch', "true", " x "),
        ("8", '5" disk', "s", "NULL"),
    ]
    assert refused == [(5, {"id": "", "text": "", "source": "s", "n": ""})]
    assert read_all(shard, batch_bytes=batch_bytes) == (good, bad, [], [])
    strings = pa.schema([(column, pa.string()) for column in ("id", "text", "source", "n")])
    assert shard_schema(shard, InputConfig()) == strings


def test_tabs_separate_tsv(tmp_path):
    """A comma is text in a .tsv file, and an empty id is the place."""
    good = read_all(open_shard(tmp_path / "x.tsv", b"text\tid\na,b\t\n"))[0]
    assert good == [(0, "a,b", "x.tsv#0", None, None)]


def test_what_the_csv_writer_writes_is_read_back(tmp_path):
    """Any characters survive, in any line end, also in fields longer than the reader's block."""
    rows = [["a\rb", "x"], ['"', "y"], [",\n", ""], ["\0é\u2028", "z"], ["w" * 300_000, "long"]]
    for end in ("\n", "\r\n", "\r"):
        path = tmp_path / "x.csv"
        with path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
                [["text", "id"], *rows]
            )
        (shard,) = find_shards([str(path)])[0]
        kept = read_all(shard, everything=True)[2]
        assert [[row["text"], row["id"]] for row in kept] == rows


def test_priorities_are_numbers_or_nothing(tmp_path):
    """Empty and NaN are null; text in the first rows is refused, without quoting it."""
    config = InputConfig(priority="p")
    shard = open_shard(tmp_path / "x.csv", b"text,p\na,1\nb,\nc,nan\nd,-2.5\n")
    check_shard(shard, config)
    assert [row[4] for row in read_all(shard, config)[0]] == [1.0, None, None, -2.5]
    with pytest.raises(SchemaMismatch, match="A priority is not a number") as caught:
        check_shard(open_shard(tmp_path / "y.csv", b"text,p\na,1\nb,secret\n"), config)
    assert caught.value.where.endswith("y.csv, column p, row 1")
    assert "secret" not in str(caught.value)


def test_a_header_is_required(tmp_path):
    """An empty file has no columns; doubled names cannot be told apart; a header alone is fine."""
    for data, what in (
        (b"", "has no header"),
        (b"\n\n", "has no header"),
        (b"te\xff,a\n", "not UTF-8"),
    ):
        with pytest.raises(CorruptFile, match=what):
            check_shard(open_shard(tmp_path / "x.csv", data), InputConfig())
    with pytest.raises(SchemaMismatch, match="same name"):
        check_shard(open_shard(tmp_path / "x.csv", b"text,a,a\n"), InputConfig())
    shard = open_shard(tmp_path / "x.csv", b"text,a")
    check_shard(shard, InputConfig())
    assert list(read_documents(shard, InputConfig(), everything=True)) == []


def test_the_header_is_read_as_names(tmp_path):
    """Quotes around names are not part of them."""
    shard = open_shard(tmp_path / "x.csv", b'\xef\xbb\xbf"text","a ""b"""\nx,y\n')
    assert shard_schema(shard, InputConfig()).names == ["text", 'a "b"']


def test_text_files_are_one_document_each(tmp_path):
    """The name is the id, the bytes are the text; empty and invalid files are rejected."""
    for name, data, good, bad in (
        ("a.txt", b"\xef\xbb\xbfa\r\nb\n", [(0, "\ufeffa\r\nb\n", "a.txt", None, None)], []),
        ("b.md", b"", [], [(0, "empty_text", b"")]),
        ("c.text", b"x\xff", [], [(0, "invalid_utf8", b"x\xff")]),
    ):
        shard = open_shard(tmp_path / name, data)
        check_shard(shard, InputConfig(text=("body",)))
        assert shard_schema(shard, InputConfig()) == pa.schema(
            [("id", pa.string()), ("text", pa.string())]
        )
        found = read_all(shard, InputConfig(text=("body",)), everything=True)
        assert found[:2] == (good, bad)
        assert found[2] == [{"id": row[2], "text": row[1]} for row in good]
        assert read_all(shard, batch_bytes=1) == (good, bad, [], [])
