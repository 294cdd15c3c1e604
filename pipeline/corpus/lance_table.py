"""Lance tables: a shard is a fragment of the last version, named by the last of its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.corpus.columnar import MAX_PIECE_ROWS, regrouped, writable
from pipeline.corpus.files import reading
from pipeline.errors import CorruptFile


def lance_schema(path: str) -> pa.Schema:
    """Return the columns of a fragment.

    Raises:
        CorruptFile: When the file is none of the last version of a table.
        SchemaMismatch: When a column has a type that cannot be written as Parquet.
    """
    with reading(path):
        return writable(_fragment(path).schema, path)


def lance_batches(path: str, names: list[str] | None, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the columns `names` (None: all), about `batch_bytes` at a time.

    Raises:
        CorruptFile: When the file is damaged, also midway.
    """
    with reading(path):
        pieces = _fragment(path).to_batches(columns=names, batch_size=MAX_PIECE_ROWS)
        yield from regrouped((piece for piece in pieces if piece.num_rows), batch_bytes)


def _fragment(path: str) -> Any:  # noqa: ANN401 - of a library that may be missing
    import lance

    try:
        parts = lance.dataset(str(Path(path).parents[1])).get_fragments()
    except ValueError as error:
        raise _alone(path) from error
    for part in parts:
        if part.data_files()[-1].path == Path(path).name:
            return part
    raise _alone(path)


def _alone(path: str) -> CorruptFile:
    return CorruptFile(
        "A file is not in the last version of a Lance table.",
        where=path,
        expected="the folder of a table, which holds `_versions` and `data`",
        fix="name the folder",
    )
