"""The compact protocol of Thrift: what is read of a footer is written with its bytes."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.filter.emit.compact import decoded, encoded


def footer(table, **how):
    """Return the footer of a table as a file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **how)
    data = sink.getvalue()
    size = int.from_bytes(data[-8:-4], "little")
    return data[-8 - size : -8]


def test_a_struct_is_read_field_by_field():
    """Numbers are zigzag, a list tells the type of its items, a struct ends with a zero."""
    data = bytes([0x15, 0x04, 0x19, 0x28, 1, ord("a"), 0, 0x11, 0x05, 0x80, 0x02, 0xAC, 0x02, 0])
    assert decoded(data) == {
        1: (5, 2),
        2: (9, (8, [b"a", b""])),
        3: (1, True),
        128: (5, 150),
    }
    assert encoded(decoded(data)) == data


def test_footers_of_any_columns_come_back():
    """Of many row groups, more than fifteen columns, nested ones, statistics below zero."""
    numbers = np.arange(-300, 300)
    columns = {f"c{n}": pa.array(numbers * 10**n) for n in range(16)}
    columns["nested"] = pa.array([[{"a": float(n), "b": [True, None]}] for n in numbers])
    columns["text"] = pa.array([f"é{n}" * 40 for n in numbers])
    table = pa.table(columns).replace_schema_metadata({"k": "v" * 300})
    for how in (
        {"row_group_size": 7},
        {"write_page_index": True, "compression": "zstd"},
        {"sorting_columns": [pq.SortingColumn(0)], "use_dictionary": False},
    ):
        data = footer(table, **how)
        assert encoded(decoded(data)) == data


def test_what_is_no_struct_is_refused():
    """Bytes that end early, and a map, which no footer has."""
    for data in (b"", b"\x15", b"\x18\x05ab", b"\x1b\x00\x00", b"\x17\x00"):
        with pytest.raises(ValueError, match=r"struct|type"):
            decoded(data)
