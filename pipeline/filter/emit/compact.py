"""Read and write the compact protocol of Thrift, as far as the footers of Parquet use it.

A struct is a mapping from the number of a field to its type and value, in the order of the bytes; a
list is the type of its items and these. Whatever was read is written with the bytes that it had.
The protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

import struct
from typing import Any, TypeAlias

TRUE, FALSE, BYTE, SHORT, INT, LONG, DOUBLE, BINARY, LIST, SET, STRUCT = *range(1, 11), 12
Struct: TypeAlias = dict[int, tuple[int, Any]]
Items: TypeAlias = tuple[int, list[Any]]
_MANY = 15  # items, or fields passed over, from which on a number follows the type
_SEVEN = 0x7F  # bits of a number in each byte; the eighth says that another follows


def decoded(data: bytes) -> Struct:
    """Return the struct that some bytes begin with.

    Raises:
        ValueError: They are none, or have a map, which no footer has.
    """
    try:
        return _Reader(data).struct()
    except (IndexError, struct.error) as error:
        raise ValueError("these bytes end within a struct") from error


def encoded(value: Struct) -> bytes:
    """Return the bytes of a struct."""
    out = bytearray()
    _put_struct(out, value)
    return bytes(out)


class _Reader:
    """A reader of values, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> Struct:
        """Return the fields up to the end of a struct."""
        fields: Struct = {}
        number = 0
        while head := self._byte():
            passed, kind = head >> 4, head & 0x0F
            number = number + passed if passed else self._number()
            fields[number] = kind, self._value(kind)
        return fields

    def _byte(self) -> int:
        byte = self._data[self._at]
        self._at += 1
        return byte

    def _size(self) -> int:
        value = self._data[self._at]  # most have one byte
        self._at += 1
        if value <= _SEVEN:
            return value
        value, shift = value & _SEVEN, 7
        while True:
            byte = self._byte()
            value |= (byte & _SEVEN) << shift
            if byte <= _SEVEN:
                return value
            shift += 7

    def _number(self) -> int:
        size = self._size()
        return (size >> 1) ^ -(size & 1)

    def _taken(self, size: int) -> bytes:
        self._at += size
        if self._at > len(self._data):
            raise IndexError(self._at)
        return self._data[self._at - size : self._at]

    def _value(self, kind: int) -> Any:  # noqa: ANN401 - of any type of the protocol
        if SHORT <= kind <= LONG:
            size = self._size()
            return (size >> 1) ^ -(size & 1)
        if kind == BINARY:
            return self._taken(self._size())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            return self._items()
        if kind in (TRUE, FALSE):
            return kind == TRUE
        if kind == BYTE:
            return self._byte()
        if kind == DOUBLE:
            return struct.unpack("<d", self._taken(8))[0]
        raise ValueError(f"no type of a footer: {kind}")

    def _items(self) -> Items:
        head = self._byte()
        kind, size = head & 0x0F, head >> 4
        if size == _MANY:
            size = self._size()
        if kind in (TRUE, FALSE):  # a byte each, and not in the type
            return kind, [self._byte() for _ in range(size)]
        return kind, [self._value(kind) for _ in range(size)]


def _put_struct(out: bytearray, fields: Struct) -> None:
    last = 0
    for number, (kind, value) in fields.items():
        if 0 < number - last <= _MANY:
            out.append((number - last) << 4 | kind)
        else:
            out.append(kind)
            _put_number(out, number)
        last = number
        _put(out, kind, value)
    out.append(0)


def _put(out: bytearray, kind: int, value: Any) -> None:  # noqa: ANN401 - of the type that is told
    if SHORT <= kind <= LONG:
        _put_number(out, value)
    elif kind == BINARY:
        _put_size(out, len(value))
        out += value
    elif kind == STRUCT:
        _put_struct(out, value)
    elif kind in (LIST, SET):
        _put_items(out, *value)
    elif kind == BYTE:
        out.append(value)
    elif kind == DOUBLE:
        out += struct.pack("<d", value)


def _put_items(out: bytearray, kind: int, items: list[Any]) -> None:
    if len(items) < _MANY:
        out.append(len(items) << 4 | kind)
    else:
        out.append(_MANY << 4 | kind)
        _put_size(out, len(items))
    for item in items:
        _put(out, BYTE if kind in (TRUE, FALSE) else kind, item)


def _put_number(out: bytearray, value: int) -> None:
    _put_size(out, value << 1 if value >= 0 else ~(value << 1))


def _put_size(out: bytearray, value: int) -> None:
    while value > _SEVEN:
        out.append(value & _SEVEN | _SEVEN + 1)
        value >>= 7
    out.append(value)
