import datetime
import decimal
import uuid

import numpy as np
import pyarrow as pa
import pytest

from pipeline.corpus.columns import Columns
from pipeline.corpus.documents import as_names, from_columns, to_documents
from pipeline.corpus.priorities import of_column

CHAT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def documents(data, text=("text",), separator="\n\n", **names):
    """Return the documents of a batch that is all of a shard named s."""
    columns = Columns(text, names.get("id"), names.get("source"), names.get("priority"), ())
    batch = pa.record_batch(data)
    rows = np.arange(batch.num_rows)
    return to_documents(from_columns(batch, columns, rows, separator), columns, "s")


def rejected(batch):
    """Return row, reason and text of what was rejected."""
    return [(item.row, item.reason, item.text) for item in batch.rejected]


def test_null_empty_and_invalid_texts_are_rejected():
    """Each has its reason; white space and NUL are text."""
    texts = pa.array([b"a", None, b"", b"x\xff", b" \n", b"\0", b"\xed\xa0\x80"], pa.binary())
    batch = documents({"text": texts})
    assert batch.texts.type == pa.large_string()
    assert batch.texts.to_pylist() == ["a", " \n", "\0"]
    assert batch.rows.tolist() == [0, 4, 5]
    assert rejected(batch) == [
        (1, "null_text", None),
        (2, "empty_text", b""),
        (3, "invalid_utf8", b"x\xff"),
        (6, "invalid_utf8", b"\xed\xa0\x80"),
    ]
    assert batch.columns is None
    assert batch.rejected_columns is None


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(),
        pa.binary_view(),
        pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.binary()),
    ],
)  # fmt: skip
def test_text_of_every_type_is_read(kind):
    """All string and bytes types give the same texts."""
    plain = pa.array(["é", None, "b", "é"])
    batch = documents({"text": plain.cast(pa.large_binary()).cast(_plain(kind)).cast(kind)})
    assert batch.texts.to_pylist() == ["é", "b", "é"]
    assert rejected(batch) == [(1, "null_text", None)]


def _plain(kind):
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def test_a_column_of_nulls_is_all_null_text():
    """Arrow's null type is read as a text column without texts."""
    batch = documents({"text": pa.nulls(2)})
    assert rejected(batch) == [(0, "null_text", None), (1, "null_text", None)]


def test_several_text_columns_are_joined_without_nulls():
    """Null parts are skipped; all null is null_text; all empty is empty_text."""
    data = {"a": ["x", None, "x", "", None, ""], "b": ["y", "y", None, "", None, "y"]}
    batch = documents(data, text=("a", "b"), separator=" | ")
    assert batch.texts.to_pylist() == ["x | y", "y", "x", " | y"]
    assert rejected(batch) == [(3, "empty_text", b""), (4, "null_text", None)]


@pytest.mark.parametrize("kind", [CHAT, pa.large_list(CHAT.value_type)])
def test_chats_are_their_contents_joined(kind):
    """Null messages and contents are skipped, also in a slice of a longer column."""
    user, bot = {"role": "user", "content": "hi"}, {"role": "bot", "content": "yo"}
    mute = {"role": "bot", "content": None}
    chats = [[user], [user, bot], [bot, mute, None, user], None, [], [mute], [bot]]
    batch = documents({"text": pa.array(chats, kind).slice(1)}, separator="\n")
    assert batch.texts.to_pylist() == ["hi\nyo", "yo\nhi", "yo"]
    assert rejected(batch) == [
        (2, "null_text", None),
        (3, "empty_text", b""),
        (4, "empty_text", b""),
    ]


def test_chats_of_fixed_size_and_with_value_fields_are_read():
    """The other spelling of conversations names its text `value`."""
    kind = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]), 2)
    chats = [[{"from": "a", "value": "1"}, {"from": "b", "value": "2"}], None]
    batch = documents({"text": pa.array(chats, kind)}, separator="+")
    assert batch.texts.to_pylist() == ["1+2"]
    assert rejected(batch) == [(1, "null_text", None)]


def test_missing_ids_are_shard_and_row():
    """A null or empty id is replaced, others are kept; sources stay null."""
    data = {
        "text": ["a", "b", None, "d"],
        "id": ["k", None, "l", ""],
        "from": [None, "x", None, ""],
    }
    batch = documents(data, id="id", source="from")
    assert batch.ids.to_pylist() == ["k", "s#1", "s#3"]
    assert batch.sources.to_pylist() == [None, "x", ""]
    assert documents({"text": ["a"]}).ids.to_pylist() == ["s#0"]


def test_names_are_the_strings_of_single_values():
    """Numbers, dates, UUIDs, dictionaries and bytes become strings; null stays null."""
    some = uuid.UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")
    for values, expected in (
        (pa.array([7, None]), ["7", None]),
        (pa.array([True]), ["true"]),
        (pa.array([decimal.Decimal("1.20")]), ["1.20"]),
        (pa.array([datetime.date(2020, 1, 2)]), ["2020-01-02"]),
        (pa.array([some.bytes, None], pa.uuid()), [str(some), None]),
        (pa.array([b"\x01\xff"], pa.binary(2)), ["01ff"]),
        (pa.array([b"a", b"\xffb", None]), ["a", "\ufffdb", None]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array([5, 5]).dictionary_encode(), ["5", "5"]),
        (pa.array(["v"], pa.string_view()), ["v"]),
        (pa.nulls(1), [None]),
    ):
        names = as_names(values)
        assert names.type == pa.string()
        assert names.to_pylist() == expected


def test_priorities_are_doubles_and_nan_is_null():
    """Any numeric type is read."""
    assert of_column(pa.array([1.5, float("nan"), None]))[0].to_pylist() == [1.5, None, None]
    assert of_column(pa.array([1, None], pa.uint64()))[0].to_pylist() == [1.0, None]
    assert of_column(pa.array([decimal.Decimal("1.5")]))[0].to_pylist() == [1.5]
    assert of_column(pa.nulls(1))[0].to_pylist() == [None]
