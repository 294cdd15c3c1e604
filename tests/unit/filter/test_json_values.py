import datetime
import decimal
import json
import uuid
import zoneinfo

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filter.emit.json_values import json_rows, json_values

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
MOMENT = datetime.datetime(2024, 2, 29, 1, 2, 3, 40_000)  # noqa: DTZ001 - without a zone
AWARE = MOMENT.replace(tzinfo=BERLIN)
SPAN = datetime.timedelta(days=-2, seconds=5, microseconds=7)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pa.timestamp("us"), MOMENT, MOMENT.isoformat()),
        (pa.timestamp("ms"), MOMENT, MOMENT.isoformat()),
        (pa.timestamp("s"), MOMENT.replace(microsecond=0), "2024-02-29T01:02:03"),
        (pa.timestamp("us", "Europe/Berlin"), AWARE, AWARE.isoformat()),
        (pa.timestamp("ns", "Europe/Berlin"), AWARE, AWARE.isoformat()),
        (pa.date32(), MOMENT.date(), "2024-02-29"),
        (pa.date64(), MOMENT.date(), "2024-02-29"),
        (pa.time32("s"), datetime.time(1, 2, 3), "01:02:03"),
        (pa.time32("ms"), MOMENT.time(), MOMENT.time().isoformat()),
        (pa.time64("us"), MOMENT.time(), MOMENT.time().isoformat()),
        (pa.duration("us"), SPAN, str(SPAN)),
        (pa.duration("s"), datetime.timedelta(days=3), "3 days, 0:00:00"),
        (pa.decimal32(9, 2), decimal.Decimal("1.50"), "1.50"),
        (pa.decimal256(60, 2), decimal.Decimal("1e40"), "1" + "0" * 40 + ".00"),
        (pa.float16(), np.float16(1.5), 1.5),
        (pa.float64(), float("nan"), None),
        (pa.uint64(), 2**64 - 1, str(2**64 - 1)),
        (pa.int64(), 2**53 - 1, 2**53 - 1),
        (pa.binary(2), b"\xff\x00", "/wA="),
        (pa.binary_view(), b"\xff", "/w=="),
        (pa.string_view(), "a", "a"),
        (pa.bool_(), True, True),
        (pa.null(), None, None),
    ],
)
def test_what_python_has_is_written_as_python_writes_it(kind, value, text):
    """Each type alone, in a list, a struct, a map and a dictionary, with nulls beside it."""
    array = pa.array([value, None], kind)
    assert json_values(array) == [text, None]
    assert json_values(array[:1]) == [text]
    for wrapped, expected in (
        (pa.array([[value, None], None, []], pa.list_(kind)), [[text, None], None, []]),
        (pa.array([[None], [value]], pa.list_(kind, 1))[1:], [[text]]),
        (pa.array([{"a": value}, None], pa.struct([("a", kind)])), [{"a": text}, None]),
        (
            pa.array([[("k", value)], None], pa.map_(pa.string(), kind)),
            [[["k", text]], None],
        ),
    ):
        assert json_values(wrapped) == expected
        json.dumps(json_values(wrapped))


@pytest.mark.parametrize(
    ("kind", "number", "text"),
    [
        (pa.timestamp("ns"), 1_000_000_001, "1970-01-01T00:00:01.000000001"),
        (pa.timestamp("ns"), -1, "1969-12-31T23:59:59.999999999"),
        (pa.timestamp("ns", "Europe/Berlin"), 1_001, "1970-01-01T01:00:00.000001001+01:00"),
        (pa.timestamp("s"), 2**40, "36812-02-20T00:36:16"),
        (pa.timestamp("s", "UTC"), 2**40, "36812-02-20T00:36:16+00:00"),
        (pa.timestamp("ms"), -(2**60), "-36532659-12-03T02:05:53.024000"),
        (pa.date32(), 2**30, "2941775-04-07"),
        (pa.date64(), 2**60, "36536598-01-28"),
        (pa.time64("ns"), 3_723_000_000_001, "01:02:03.000000001"),
        (pa.duration("ns"), 86_400_000_000_001, "1 day, 0:00:00.000000001"),
        (pa.duration("s"), 2**62, "53375995583650 days, 7:45:04"),
    ],
)
def test_what_python_lacks_is_written_from_its_integer(kind, number, text):
    """Nanoseconds, years beyond 9999 and endless durations are no error and lose no digit."""
    width = pa.int32() if kind.bit_width == 32 else pa.int64()
    array = pa.array([number, None], width).view(kind)
    found = json_values(array)
    assert found[1] is None
    assert found[0] == text


def test_extensions_and_dictionaries_are_written_as_what_they_stand_for():
    """A UUID is its text, other extensions are their storage."""
    one = uuid.UUID(int=7)
    assert json_values(pa.array([one.bytes, None], pa.uuid())) == [str(one), None]
    tensor = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float32(), [2]),
        pa.array([[1, 2]], pa.list_(pa.float32(), 2)),
    )
    assert json_values(tensor) == [[1.0, 2.0]]
    moments = pa.array([1_001, None], pa.int64()).view(pa.timestamp("ns")).dictionary_encode()
    assert json_values(moments) == ["1970-01-01T00:00:00.000001001", None]
    views = pa.array([["a"], None], pa.list_view(pa.string()))
    assert json_values(views) == [["a"], None]


def test_rows_are_objects_in_the_order_of_the_columns():
    """One object a row, of a batch without columns too."""
    batch = pa.record_batch({"b": [1, 2], "a": [None, [{"x": 1}]]})
    assert json_rows(batch) == [{"b": 1, "a": None}, {"b": 2, "a": [{"x": 1}]}]
    assert [list(row) for row in json_rows(batch)] == [["b", "a"]] * 2


def test_what_is_held_as_json_is_written_as_the_value():
    """At any depth where a field says so; a text elsewhere stays one, as does what is no JSON."""
    told = {"encoding": "json"}
    texts = ['{"a":[1,true]}', '"x"', "1e400", "Infinity", "100000000000000000000", None, "no {"]
    values = [{"a": [1, True]}, "x", None, None, 10**20, None, "no {"]
    texts, values = ([*found, '"\\ud800"'] for found in (texts, values))
    field = pa.field("f", pa.string(), metadata=told)
    inside = pa.struct([field, pa.field("g", pa.string())])
    schema = pa.schema([field, pa.field("t", pa.string()), pa.field("l", pa.list_(inside))])
    batch = pa.record_batch(
        [texts, texts, [[{"f": text, "g": text}] for text in texts]], schema=schema
    )
    assert json_rows(batch) == [
        {"f": value, "t": text, "l": [{"f": value, "g": text}]}
        for text, value in zip(texts, values, strict=True)
    ]
