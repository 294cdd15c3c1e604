"""Shards written as JSON Lines on request: the same rows, for readers of JSON, types lost.

Bytes become base64, decimals and dates their text, NaN and infinities null, keys of 64 bits
strings (most readers of JSON have doubles only).
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import os
import uuid
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from pipeline.stage import FileRecord
from pipeline.store import TEMPORARY, publish

BIG = 1 << 53  # whole numbers beyond are not doubles


class JsonWriter:
    """Writes `folder/table/name.jsonl` whole or not at all; use as a context manager."""

    def __init__(self, folder: Path, table: str, name: str, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self.record: FileRecord
        self._table, self._path = table, f"{table}/{name}.jsonl"
        self._final = folder / self._path
        self._final.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = self._final.with_name(f"{self._final.name}.{os.getpid()}{TEMPORARY}")
        self._stream = self._temporary.open("w", encoding="utf-8", newline="")

    def write(self, data: pa.RecordBatch) -> None:
        """Append rows."""
        for row in data.to_pylist():
            self._stream.write(json.dumps(_plain(row), ensure_ascii=False) + "\n")
        self.rows += data.num_rows

    def __enter__(self) -> JsonWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        if kind is not None:
            self._temporary.unlink(missing_ok=True)
            return
        self.record = publish(self._temporary, self._final, self._table, self._path, self.rows)


def _plain(value: object) -> object:
    """Return a value in what JSON has."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, int) and abs(value) >= BIG:
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta | decimal.Decimal | uuid.UUID):
        return str(value)
    return value
