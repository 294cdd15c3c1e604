import gzip
import importlib.util
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard, find_shards, read_documents, shard_schema
from pipeline.corpus.json_schema import MAX_FIELDS, to_batch, union_schema
from pipeline.corpus.json_text import value_text
from pipeline.errors import CorruptFile, SchemaMismatch


def open_shard(path, data):
    """Write a file and return its shard."""
    raw = data if isinstance(data, bytes) else "".join(f"{line}\n" for line in data).encode()
    if path.suffix in (".gz", ".zst"):
        codec = {".gz": "gzip", ".zst": "zstd"}[path.suffix]
        with pa.CompressedOutputStream(str(path), codec) as stream:
            stream.write(raw)
    else:
        path.write_bytes(raw)
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


MIXED = [
    b'{"text": "one", "id": "a", "source": "s"}',
    b"",
    b'{"text": "t\xff"}',
    b"not json",
    b'["an", "array"]',
    b'{"text": 5, "id": 6}\r',
    b" \t ",
    b'{"text": null}',
    b'{"text": ""}',
    b'{"id": "no text"}',
    b'{"text": "\\ud800 lone"}',
    b'{"text": "fine", "note": "\\uDC00"}',
    b'{"text": "\\ud83d\\ude00", "id": true}\r',
    b'{"text": "first", "text": "last", "id": 1.5}',
    b'{"text": {"a": [1]}}',
    b'{"text": " ", "id": null',
]
REJECTED = [
    (1, "invalid_utf8", MIXED[2]),
    (2, "not_json", MIXED[3]),
    (3, "not_json", MIXED[4]),
    (4, "not_a_string", b"5"),
    (5, "null_text", None),
    (6, "empty_text", b""),
    (7, "null_text", None),
    (8, "lone_surrogate", MIXED[10]),
    (9, "lone_surrogate", MIXED[11]),
    (12, "not_a_string", b'{"a":[1]}'),
    (13, "not_json", MIXED[15]),
]


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson.gz", "x.json.zst"])
@pytest.mark.parametrize("batch_bytes", [1, 60, 1 << 20])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\n"])
def test_each_bad_line_costs_its_own_row(tmp_path, name, batch_bytes, end):
    """Every reason, row numbers without blank lines, whatever the packing and the batches."""
    shard = open_shard(tmp_path / name, b"\xef\xbb\xbf" + b"\n".join(MIXED) + end)
    good, bad, kept, refused = read_all(shard, everything=True, batch_bytes=batch_bytes)
    assert good == [
        (0, "one", "a", "s", None),
        (10, "\U0001f600", "true", None, None),
        (11, "last", "1.5", None, None),
    ]
    assert bad == REJECTED
    assert kept == [
        {"text": "one", "id": '"a"', "source": "s"},
        {"text": "\U0001f600", "id": "true", "source": None},
        {"text": "last", "id": "1.5", "source": None},
    ]
    assert refused == [
        (4, {"text": "5", "id": "6", "source": None}),
        (5, {"text": None, "id": None, "source": None}),
        (6, {"text": "", "id": None, "source": None}),
        (7, {"text": None, "id": '"no text"', "source": None}),
        (12, {"text": '{"a":[1]}', "id": None, "source": None}),
    ]
    assert read_all(shard, batch_bytes=batch_bytes) == (good, bad, [], [])


def test_the_asked_schema_saves_a_pass_and_changes_nothing(tmp_path):
    """A schema from shard_schema gives what reading it again would."""
    shard = open_shard(tmp_path / "x.jsonl", ['{"text": "a", "n": 1}', '{"n": 2.5, "text": "b"}'])
    schema = shard_schema(shard, InputConfig())
    assert schema == pa.schema([("text", pa.string()), ("n", pa.float64())])
    assert read_all(shard, everything=True, schema=schema) == read_all(shard, everything=True)


def test_lines_longer_than_a_block_are_read(tmp_path):
    """Lines are joined over blocks of 1 MiB."""
    long = "é" * 1_500_000
    lines = [
        json.dumps({"text": text}, ensure_ascii=False) for text in ("a", long, "b", long + "c")
    ]
    good = read_all(open_shard(tmp_path / "x.jsonl", lines))[0]
    assert [row[1] for row in good] == ["a", long, "b", long + "c"]


def test_strings_stay_strings(tmp_path):
    """Dates, numbers and truth values in quotes are never guessed."""
    row = {"text": "2024-01-01", "when": "2024-01-01T00:00:00Z", "n": "7", "b": "true", "e": ""}
    shard = open_shard(tmp_path / "x.jsonl", [json.dumps(row)])
    assert set(shard_schema(shard, InputConfig()).types) == {pa.string()}
    assert read_all(shard, everything=True)[2] == [row]


@pytest.mark.parametrize(
    ("values", "kind", "written"),
    [
        ([1, None, -(2**63)], pa.int64(), None),
        ([1, 2.5, None], pa.float64(), [1.0, 2.5, None]),
        ([1.5, float("inf")], pa.float64(), None),
        ([True, None], pa.bool_(), None),
        ([None], pa.null(), None),
        (["a", 1, None], None, ['"a"', "1", None]),
        ([True, 1], None, ["true", "1"]),
        ([2**63], None, ["9223372036854775808"]),
        ([2**53 + 1, 0.5], None, ["9007199254740993", "0.5"]),
        ([{}, None, {}], None, ["{}", None, "{}"]),
        ([{"é": 1}, [1]], None, ['{"é":1}', "[1]"]),
        ([[1], [], None, [2.5]], pa.list_(pa.float64()), [[1.0], [], None, [2.5]]),
        ([[]], pa.list_(pa.null()), None),
        ([[1, "a"], ["b"]], pa.list_(pa.string()), [["1", '"a"'], ['"b"']]),
        (
            [{"a": 1}, {"b": "x", "a": None}, {}, None],
            pa.struct([("a", pa.int64()), ("b", pa.string())]),
            [{"a": 1, "b": None}, {"a": None, "b": "x"}, {"a": None, "b": None}, None],
        ),
        (
            [[{"a": 1}], [{"a": "x", "c": {}}, None]],
            pa.list_(pa.struct([("a", pa.string()), ("c", pa.string())])),
            [[{"a": "1", "c": None}], [{"a": '"x"', "c": "{}"}, None]],
        ),
    ],
)
def test_types_are_the_union_of_the_values(tmp_path, values, kind, written):
    """A field holds every value of the file without loss; what no type holds is JSON text."""
    objects = [{"v": value} for value in values]
    schema = union_schema(objects, ())
    assert schema.field("v").type == (kind or pa.string())
    assert (schema.field("v").metadata == {b"encoding": b"json"}) == (kind is None)
    batch = to_batch(objects, schema, ())
    assert batch.column(0).to_pylist() == (written or values)
    pq.write_table(pa.Table.from_batches([batch]), tmp_path / "x.parquet")
    back = pq.read_table(tmp_path / "x.parquet")
    assert back.column(0).to_pylist() == batch.column(0).to_pylist()
    assert back.schema.field("v").metadata == schema.field("v").metadata


def test_mappings_and_deep_values_are_json_text():
    """An object of very many names is no record, and nesting has a bound."""
    wide = {str(number): number for number in range(MAX_FIELDS + 1)}
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    schema = union_schema([{"wide": wide, "deep": deep}], ())
    assert schema.field("wide").type == pa.string()
    batch = to_batch([{"wide": wide, "deep": deep}], schema, ())
    assert json.loads(batch.column(0)[0].as_py()) == wide
    assert str(schema.field("deep").type).endswith("string" + ">" * 17)
    found = batch.column(1)[0].as_py()
    for _ in range(17):
        (found,) = found
    assert json.loads(found) == [[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]


def test_absurd_nesting_and_numbers_are_not_json(tmp_path):
    """A fixed bound of 128 levels, and no number of thousands of digits."""
    fine = '{"text": "a", "v": ' + "[" * 127 + "]" * 127 + "}"
    over = '{"text": "b", "v": ' + "[" * 128 + "]" * 128 + "}"
    brackets = json.dumps({"text": "[{" * 300})
    lines = [
        fine,
        over,
        '{"v": ' + "[" * 100_000,
        '{"text": "c", "v": ' + "9" * 5000 + "}",
        brackets,
    ]
    good, bad, _, _ = read_all(open_shard(tmp_path / "x.jsonl", lines))
    assert [row[0] for row in good] == [0, 4]
    assert [item[:2] for item in bad] == [(1, "not_json"), (2, "not_json"), (3, "not_json")]


def test_columns_are_the_union_in_order_of_appearance(tmp_path):
    """A field that only late rows have is a column, null before."""
    lines = [json.dumps({"text": "a"})] * 2000 + [json.dumps({"late": 1, "text": "b"})]
    shard = open_shard(tmp_path / "x.jsonl", lines)
    assert shard_schema(shard, InputConfig()).names == ["text", "late"]
    kept = read_all(shard, everything=True, batch_bytes=1000)[2]
    assert kept[0] == {"text": "a", "late": None}
    assert kept[-1] == {"text": "b", "late": 1}


def test_a_configured_column_that_comes_late_is_found(tmp_path):
    """Only when the head lacks it is the file read whole; when all of it does, that is an error."""
    lines = [json.dumps({"body": "a"})] * 2000 + [json.dumps({"body": "b", "key": 7})]
    shard = open_shard(tmp_path / "x.jsonl", lines)
    check_shard(shard, InputConfig(id="key"))
    assert read_all(shard, InputConfig(id="key"))[0][-1] == (2000, "b", "7", None, None)
    with pytest.raises(SchemaMismatch) as caught:
        check_shard(shard, InputConfig(text=("words",)))
    assert caught.value.found == "body: string, key: int64"


def test_chats_and_several_columns_are_joined(tmp_path):
    """Both spellings of messages are read; other lists are no text and leave the column alone."""
    lines = [
        '{"messages": [{"role": "user", "content": "hi"}, {"role": "bot", "content": "yo"}]}',
        '{"messages": [{"from": "user", "value": "hi"}, null, {"role": "bot", "content": null}]}',
        '{"messages": []}',
        '{"messages": [1]}',
        '{"messages": [{"content": 5}]}',
        '{"messages": "plain"}',
    ]
    shard = open_shard(tmp_path / "chat.jsonl", lines[:5])
    good, bad, kept, refused = read_all(shard, everything=True)
    assert [row[:2] for row in good] == [(0, "hi\n\nyo"), (1, "hi")]
    assert bad == [
        (2, "empty_text", b""),
        (3, "not_a_string", b"[1]"),
        (4, "not_a_string", b'[{"content":5}]'),
    ]
    empty = {"from": None, "value": None}
    assert kept[0]["messages"] == [
        {"role": "user", "content": "hi", **empty},
        {"role": "bot", "content": "yo", **empty},
    ]
    assert [row for row, _ in refused] == [2, 3, 4]
    good = read_all(open_shard(tmp_path / "mixed.jsonl", lines), everything=True)[0]
    assert [row[1] for row in good] == ["hi\n\nyo", "hi", "plain"]
    lines = [
        '{"a": "x", "b": null}',
        '{"b": "y", "a": "x"}',
        "{}",
        '{"a": "", "b": ""}',
        '{"a": 1, "b": "y"}',
    ]
    config = InputConfig(text=("a", "b"), text_separator="-")
    good, bad, _, _ = read_all(open_shard(tmp_path / "two.jsonl", lines), config)
    assert [row[:2] for row in good] == [(0, "x"), (1, "x-y")]
    assert bad == [(2, "null_text", None), (3, "empty_text", b""), (4, "not_a_string", b'[1,"y"]')]


def test_priorities_are_numbers_or_null(tmp_path):
    """NaN, text, truth values and numbers beyond a double are null; a column of text is refused."""
    values = ["1", "2.5", "NaN", '"x"', "true", "null", "1" + "0" * 400]
    lines = [f'{{"text": "a", "p": {value}}}' for value in values]
    shard = open_shard(tmp_path / "x.jsonl", lines[:3] + lines[5:6])
    assert [row[4] for row in read_all(shard, InputConfig(priority="p"))[0]] == [
        1.0,
        2.5,
        None,
        None,
    ]
    lines = ['{"text": "a", "p": 1}'] * 1000 + lines
    shard = open_shard(tmp_path / "late.jsonl", lines)
    found = [row[4] for row in read_all(shard, InputConfig(priority="p"))[0][1000:]]
    assert found == [1.0, 2.5, None, None, None, None, None]
    with pytest.raises(SchemaMismatch, match="A column has a type"):
        check_shard(
            open_shard(tmp_path / "s.jsonl", ['{"text": "a", "p": "x"}']), InputConfig(priority="p")
        )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.json", '{"text": "a",\n"id": 1}'),
        ("x.json.gz", '{\n"text": "a"}'),
        ("x.jsonl", '{\n  "text": "a"\n}'),
    ],
)
def test_one_json_document_is_refused_with_the_way_to_convert(tmp_path, name, data):
    """An indented object is not JSON Lines."""
    shard = open_shard(tmp_path / name, data.encode())
    with pytest.raises(CorruptFile, match="one JSON document, not JSON Lines") as caught:
        check_shard(shard, InputConfig())
    assert "jq -c" in caught.value.fix


def test_a_file_without_rows_is_an_empty_shard(tmp_path):
    """Nothing to read is nothing wrong."""
    for data in (b"", b"\n\n", b"\xef\xbb\xbf"):
        shard = open_shard(tmp_path / "x.jsonl", data)
        check_shard(shard, InputConfig(text=("body",)))
        assert list(read_documents(shard, InputConfig(), everything=True)) == []
        assert shard_schema(shard, InputConfig()).names == []


def test_a_file_of_bad_lines_only_rejects_them(tmp_path):
    """No line names a column; all lines are rejected rows."""
    shard = open_shard(tmp_path / "x.jsonl", [b"x".decode(), "y"])
    check_shard(shard, InputConfig())
    assert read_all(shard, everything=True)[:2] == (
        [],
        [(0, "not_json", b"x"), (1, "not_json", b"y")],
    )


def test_packed_parts_in_one_file_are_read_on(tmp_path):
    """Files put together with cat have several gzip members."""
    parts = [gzip.compress(f'{{"text": "{text}"}}\n'.encode()) for text in "ab"]
    (tmp_path / "x.jsonl.gz").write_bytes(b"".join(parts))
    (shard,) = find_shards([str(tmp_path)])[0]
    assert [row[1] for row in read_all(shard)[0]] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.json", '[{"text": "a"}, {"text": "b"}, {"text": "c"}]'),
        ("x.json", '[{"text": "a"},\n{"text": "b"},\n{"text": "c"}]\n'),
        ("x.json", '\ufeff [\n {\n  "text": "a"\n },\n {"text": "b"}, {"text": "c"}\n]'),
        ("x.json.gz", '[{"text": "a"},{"text": "b"},{"text": "c"}]'),
        ("x.jsonl", '[\n{"text": "a"},\n{"text": "b"},\n{"text": "c"}\n]'),
    ],
)
def test_the_objects_of_an_array_are_rows(tmp_path, name, data):
    """The commonest form of fine-tuning sets, on one line or indented, packed or not."""
    shard = open_shard(tmp_path / name, data.encode())
    check_shard(shard, InputConfig())
    good, bad, kept, _ = read_all(shard, everything=True)
    assert [row[:2] for row in good] == [(0, "a"), (1, "b"), (2, "c")]
    assert (bad, kept) == ([], [{"text": text} for text in "abc"])


@pytest.mark.parametrize("odd", [[], ["\u00e4 list of", "two texts"], {"content": "a message"}])
def test_a_list_among_strings_changes_no_string(tmp_path, scan, odd):
    """The text column stays one of strings as they came, and what is masked is at its place."""
    texts = [
        f"\u00e4 text {n}\nof two lines, {'word ' * 60}to mail{n}@mailhost.com" for n in range(9)
    ]
    rows = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
    (tmp_path / "c").mkdir()
    lines = [*rows, {"id": "odd", "text": odd}]
    (tmp_path / "c" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))

    def kept(name, *settings):
        done = scan(tmp_path / "c", tmp_path / name, "near.threshold=1.0", *settings)
        rows = done.table("kept").select(["id", "text"]).to_pylist()
        return {row["id"]: row["text"] for row in rows}

    found = kept("plain")
    assert [found[row["id"]] for row in rows] == texts
    assert found.get("odd") == (value_text(odd, "\n\n") or None)
    if importlib.util.find_spec("phonenumbers"):
        found = kept("masked", 'policy.rules=["drop-copies", "mask-personal"]')
        masked = [text.replace(f"mail{n}@mailhost.com", "[email]") for n, text in enumerate(texts)]
        assert [found[row["id"]] for row in rows] == masked
