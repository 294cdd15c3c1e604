import csv
from typing import Any

import pyarrow as pa
import pytest

from pipeline.config.load import load_config
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


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\r\n"])
@pytest.mark.parametrize("named", [{}, {"text": ("body",), "id": "key", "priority": "rank"}])
def test_an_empty_file_has_no_rows(tmp_path, data, named):
    """Nor columns, also those that are named: it is no reason to refuse the others."""
    shard, config = open_shard(tmp_path / "x.csv", data), InputConfig(**named)
    check_shard(shard, config)
    assert list(read_documents(shard, config, everything=True)) == []


def test_a_header_names_each_column_once(tmp_path):
    """Doubled names cannot be told apart, bytes of no text not read; a header alone is fine."""
    with pytest.raises(CorruptFile, match="not UTF-8"):
        check_shard(open_shard(tmp_path / "x.csv", b"te\xff,a\n"), InputConfig())
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


def read(path, **config):
    """Return the texts of a file, and the reasons of its rejected rows."""
    batches = list(read_documents(find_shards([str(path)])[0][0], InputConfig(**config)))
    texts = [text for batch in batches for text in batch.texts.to_pylist()]
    return texts, [item.reason for batch in batches for item in batch.rejected]


@pytest.mark.parametrize("sign", ["\t", "|", ";", ","])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_the_separator_is_found(tmp_path, sign, suffix):
    """Where the usual one gives one field and another one several; commas in a text are its own."""
    place = tmp_path / f"x{suffix}"
    lines = [
        sign.join(("id", "text", "n")),
        *(sign.join((str(n), f"so. it is {n}", "1")) for n in range(9)),
    ]
    place.write_text("\n".join(lines) + "\n")
    assert read(place) == ([f"so. it is {n}" for n in range(9)], [])
    assert read(place, csv_separator=sign)[0] == [f"so. it is {n}" for n in range(9)]


@pytest.mark.parametrize("sign", ["\t", "|", ";"])
def test_commas_of_the_texts_separate_nothing_that_the_header_does_not(tmp_path, sign):
    """Each record has one comma, so all but the header would have two fields by it."""
    place = tmp_path / "x.csv"
    lines = [sign.join(("id", "text")), *(f"{n}{sign}so, it is {n}" for n in range(9))]
    place.write_text("\n".join(lines) + "\n")
    assert read(place) == ([f"so, it is {n}" for n in range(9)], [])


@pytest.mark.parametrize(("sign", "typed"), [("|", "|"), (";", ";"), ("\t", '"\\t"')])
def test_a_ragged_file_names_the_setting_of_the_separator(tmp_path, sign, typed):
    """Records of other widths than the header: refused, and read once the separator is named."""
    place = tmp_path / "x.csv"
    lines = [sign.join(("id", "text", "label"))]
    lines += [sign.join((str(n), f"text {n}", *"ab"[: 1 + n % 2])) for n in range(8)]
    place.write_text("\n".join(lines) + "\n")
    with pytest.raises(CorruptFile, match="separator of a CSV file is not clear") as refused:
        read(place)
    assert refused.value.found.startswith("a header of 3 fields by ")
    assert refused.value.found.endswith(", records of 3 to 4")
    assert f"--set 'input.csv_separator={typed}'" in refused.value.fix
    named = load_config(settings=[f"input.csv_separator={typed}"]).input.csv_separator
    assert read(place, csv_separator=named) == (
        [f"text {n}" for n in range(0, 8, 2)],
        ["csv_fields"] * 4,
    )


def test_one_column_is_one_column(tmp_path):
    """A header of one name is not taken apart, whatever signs the texts have."""
    place = tmp_path / "x.csv"
    place.write_text("text\n" + "".join(f"one; two | three {n}\n" for n in range(5)))
    assert read(place) == ([f"one; two | three {n}" for n in range(5)], [])


@pytest.mark.parametrize("first", ["a1," + "some long words of a text " * 9, "7,a text", "x " * 60])
def test_a_first_record_that_looks_like_a_row_is_refused(tmp_path, first):
    """The settings say what it is: without a header, columns are numbered and no row is lost."""
    place = tmp_path / "x.csv"
    place.write_text(f"{first}\n{first}\n")
    with pytest.raises(CorruptFile, match="looks like a row") as refused:
        read(place)
    assert "--set input.csv_header=no" in refused.value.fix
    column = f"column_{first.count(',') + 1}"
    text = first.partition(",")[2] or first
    assert read(place, csv_header="no", text=(column,)) == ([text] * 2, [])
    assert len(read(place, csv_header="yes", text=(text,))[0]) == 1


def test_other_encodings_are_named(tmp_path):
    """Latin-1 reads right when it is named; the bytes of a rejected row are those of the file."""
    place = tmp_path / "x.csv"
    place.write_bytes("id,text\n1,caf\u00e9\n2,\u00fcber,more\n".encode("latin-1"))
    assert read(place)[1] == ["invalid_utf8", "csv_fields"]
    assert read(place, csv_encoding="latin-1") == (["caf\u00e9"], ["csv_fields"])
    (shard,), _ = find_shards([str(place)])
    (batch,) = read_documents(shard, InputConfig(csv_encoding="latin-1"))
    assert batch.rejected[0].text == b"2,\xfcber,more"


def test_a_quote_left_open_is_noticed(tmp_path):
    """It takes in the records up to the next quote: they are rejected whole, not one odd text."""
    place = tmp_path / "x.csv"
    lines = [f"{n},a text of row {n},x" for n in range(8)]
    lines[2] = '2,"a text of row 2,x'
    lines[6] = '6,"a text" of row 6,x'
    place.write_text("id,text,label\n" + "\n".join(lines) + "\n")
    texts, reasons = read(place)
    assert len(texts) == 3
    assert reasons == ["csv_quote"]
    assert len(read(place, csv_quote="")[0]) == 8
    # a text of several lines is none
    place.write_text('id,text,label\n1,"one, two\nthree\nfour, five\nsix",x\n')
    assert read(place)[1] == []
