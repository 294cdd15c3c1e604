"""Write shards as JSON Lines on request: the same rows as in Parquet, but types are lost.

Bytes become base64, decimals and dates their text, NaN and infinities null, and keys of 64 bits
strings, since most readers of JSON have only doubles. What Parquet would hold as the JSON of mixed
values is these values. A Python loop per row writes 73 MB of text a
second on one core (11 MB of documentation and prose); the rest of a filter takes longer.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from pipeline.engine.files import PendingFile
from pipeline.filter.emit.json_values import json_rows


class JsonWriter(PendingFile):
    """A writer of `folder/table/name.jsonl`, whole or not at all; use it as a context manager.

    Attributes:
        schema: the columns of the rows to write.
    """

    def __init__(self, folder: Path, table: str, name: str, schema: pa.Schema) -> None:
        super().__init__(folder, table, f"{table}/{name}.jsonl")
        self.schema = schema
        self._stream = self._temporary.open("w", encoding="utf-8", newline="")

    def write(self, data: pa.RecordBatch) -> None:
        """Append rows."""
        for row in json_rows(data):
            self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.rows += data.num_rows

    def _close(self) -> None:
        self._stream.close()
