"""Parquet and Arrow IPC shards, in batches of about the asked size whatever the file's blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus.casts import in_types
from pipeline.corpus.files import reading
from pipeline.corpus.row_sizes import cuts, row_sizes
from pipeline.errors import CorruptFile, SchemaMismatch
from pipeline.text.arrays import Int64

# a dictionary page can stand for many rows of its largest value, so never decode more at once
MAX_PIECE_ROWS = 1024
PROBED_ROWS = 32  # of a row group, decoded first
READ_BUFFER = 1 << 20
PARQUET_MAGIC = b"PAR1"
IPC_MAGIC = b"ARROW1"
BYTES = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}
# Parquet knows one string type, and Arrow cannot take rows from views
NO_VIEWS = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
FEATHER_1_MAGIC = b"FEA1"


def parquet_schema(path: str) -> pa.Schema:
    """Return a Parquet file's columns from its footer, as `writable` has them.

    Raises:
        CorruptFile: When the file cannot be read.
        SchemaMismatch: When a column has a type that cannot be written as Parquet.
    """
    with reading(path), _open_parquet(path) as file:
        return writable(file.schema_arrow, path)


def parquet_batches(
    path: str, names: list[str] | None, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the columns `names` (None: all), about `batch_bytes` decoded at a time.

    Raises:
        CorruptFile: When the file is damaged, also midway.
    """
    with reading(path), _open_parquet(path) as file:
        groups = range(file.metadata.num_row_groups)
        yield from regrouped(_parquet_pieces(file, groups, names, batch_bytes), batch_bytes)


def parquet_batches_with(
    path: str, names: list[str], batch_bytes: int, wanted: Int64
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the row groups that hold wanted rows, in batches with the number of their first row.

    Args:
        path: the file.
        names: of the columns.
        batch_bytes: about how much is decoded at a time.
        wanted: numbers of rows, ascending; those past the end are passed over.

    Raises:
        CorruptFile: When the file is damaged, also midway.
    """
    with reading(path), _open_parquet(path) as file:
        ends = _group_ends(file)
        for group in np.unique(np.searchsorted(ends, wanted[wanted < ends[-1]], "right")):
            row = int(ends[group - 1]) if group else 0
            pieces = _parquet_pieces(file, [int(group)], names, batch_bytes)
            for batch in regrouped(pieces, batch_bytes):
                yield row, batch
                row += batch.num_rows


def ipc_schema(path: str) -> pa.Schema:
    """Return the columns of an Arrow file or stream, as `writable` has them.

    Raises:
        CorruptFile: When the file cannot be read.
        SchemaMismatch: When a column has a type that cannot be written as Parquet.
    """
    with reading(path), _map(path) as source, _open_ipc(path, source) as file:
        return writable(file.schema, path)


def ipc_batches(path: str, names: list[str] | None, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the columns `names` (None: all), about `batch_bytes` at a time.

    The file is mapped, so that one record batch larger than memory can be read in slices.

    Raises:
        CorruptFile: When the file is damaged, also midway.
    """
    with reading(path), _map(path) as source, _open_ipc(path, source) as file:
        yield from regrouped(_ipc_pieces(file, names), batch_bytes)


def writable(schema: pa.Schema, path: str) -> pa.Schema:
    """Return the schema without views, and with dictionaries that have room.

    Raises:
        SchemaMismatch: When Parquet cannot hold it.
    """
    plain = _retyped(schema, NO_VIEWS)
    try:
        rows = schema.empty_table().cast(plain).take(pa.array([], pa.int64()))
        pq.write_table(rows, pa.BufferOutputStream())
    except pa.ArrowNotImplementedError as error:
        raise SchemaMismatch(
            "A column has a type that cannot be written as Parquet.",
            where=path,
            found=str(error).partition("\n")[0][:200],
            fix="convert the column",
        ) from error
    return plain


def _open_parquet(path: str) -> pq.ParquetFile:
    """Open a Parquet file that reads page by page and checks page checksums where there are any."""
    return pq.ParquetFile(
        path, pre_buffer=False, buffer_size=READ_BUFFER, page_checksum_verification=True
    )


def _group_ends(file: pq.ParquetFile) -> Int64:
    """Return the number of the row after each row group of a Parquet file, (groups,); 0 for none.

    Raises:
        ArrowInvalid: When the groups have other rows in all than the file.
    """
    facts = file.metadata
    sizes = [facts.row_group(group).num_rows for group in range(facts.num_row_groups)]
    if sum(sizes) != facts.num_rows:
        raise pa.ArrowInvalid(f"row groups of {sum(sizes)} rows in a file of {facts.num_rows}")
    return np.cumsum(sizes or [0], dtype=np.int64)


def _parquet_pieces(
    file: pq.ParquetFile, groups: Iterable[int], names: list[str] | None, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some row groups of a Parquet file in small pieces.

    Raises:
        ArrowInvalid: When a row group holds another number of rows than the footer says.
    """
    for group in groups:
        facts = file.metadata.row_group(group)
        if facts.num_rows == 0:
            continue
        # the sizes of single columns would do better, but a damaged footer ends the process there
        rows = _piece_rows(facts.total_byte_size // facts.num_rows, batch_bytes)
        if rows > PROBED_ROWS and facts.num_rows > PROBED_ROWS:
            rows = min(rows, _probed(file, group, names, batch_bytes))
        pieces = file.iter_batches(
            batch_size=rows, row_groups=[group], columns=names, use_threads=False
        )
        seen = 0
        for piece in pieces:
            _check_layout(piece)
            seen += piece.num_rows
            yield piece if names is None else piece.select(names)
        if seen != facts.num_rows:
            raise pa.ArrowInvalid(
                f"row group {group} holds {seen} rows, its footer says {facts.num_rows}"
            )


def _probed(file: pq.ParquetFile, group: int, names: list[str] | None, batch_bytes: int) -> int:
    """Return how many rows to decode at once, as the first rows of a group have it.

    The footer tells the bytes of a dictionary once, however many rows are of it.
    """
    first = next(
        file.iter_batches(
            batch_size=PROBED_ROWS, row_groups=[group], columns=names, use_threads=False
        )
    )
    _check_layout(first)
    return _piece_rows(int(row_sizes(first).max(initial=0)), batch_bytes)


def _map(path: str) -> pa.NativeFile:
    """Map an Arrow file, or open it plainly when it is empty and cannot be mapped."""
    return pa.memory_map(path) if Path(path).stat().st_size else pa.OSFile(path)


def _open_ipc(
    path: str, source: pa.NativeFile
) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    """Open the file format or the stream format, whichever the first bytes show.

    Raises:
        CorruptFile: When the first bytes are of another format.
    """
    start = source.read(8)
    source.seek(0)
    if start.startswith((FEATHER_1_MAGIC, PARQUET_MAGIC)) or not start:
        kind = {
            FEATHER_1_MAGIC: "Feather version 1",
            PARQUET_MAGIC: "Parquet",
            b"": "an empty file",
        }[start[:4]]
        raise CorruptFile(
            "A file is not Arrow IPC.", where=path, found=kind, fix="convert or rename it"
        )
    opener = pa.ipc.open_file if start.startswith(IPC_MAGIC) else pa.ipc.open_stream
    return opener(source)


def _ipc_pieces(
    file: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader,
    names: list[str] | None,
) -> Iterator[pa.RecordBatch]:
    """Yield slices of the stored batches; asking the reader for some columns would copy the map."""
    stored = (
        (file.get_batch(number) for number in range(file.num_record_batches))
        if isinstance(file, pa.ipc.RecordBatchFileReader)
        else iter(file)
    )
    for whole in stored:
        batch = whole if names is None else whole.select(names)
        _check_layout(batch)
        if batch.num_rows == 0:
            continue
        for start in range(0, batch.num_rows, MAX_PIECE_ROWS):
            yield batch.slice(start, MAX_PIECE_ROWS)


def _check_layout(batch: pa.RecordBatch) -> None:
    """Check that offsets lie in their buffers and indices in their dictionaries.

    Arrow raises ArrowInvalid otherwise. Strings are looked at as bytes: those that are not UTF-8
    are judged row by row.
    """
    batch.validate()  # first: the import below takes the sizes of buffers from the offsets
    raw = _retyped(batch.schema, BYTES)
    seen = pa.RecordBatch._import_from_c_capsule(
        raw.__arrow_c_schema__(), batch.__arrow_c_array__()[1]
    )
    seen.validate(full=True)


def _retyped(schema: pa.Schema, leaves: Mapping[pa.DataType, pa.DataType]) -> pa.Schema:
    """Return the schema with some types in place of others, at every depth."""
    kinds = [_replaced(field.type, leaves) for field in schema]
    fields = [
        field if kind == field.type else field.with_type(kind)
        for field, kind in zip(schema, kinds, strict=True)
    ]
    return pa.schema(fields, metadata=schema.metadata)


def _replaced(kind: pa.DataType, leaves: Mapping[pa.DataType, pa.DataType]) -> pa.DataType:
    """Return a type with some types in place of others, at every depth."""
    if pa.types.is_struct(kind):
        inner = [kind.field(position) for position in range(kind.num_fields)]
        return pa.struct([field.with_type(_replaced(field.type, leaves)) for field in inner])
    for test, build in (
        (pa.types.is_list, pa.list_),
        (pa.types.is_large_list, pa.large_list),
        (pa.types.is_fixed_size_list, lambda item: pa.list_(item, kind.list_size)),
    ):
        if test(kind):
            return build(kind.value_field.with_type(_replaced(kind.value_type, leaves)))
    if pa.types.is_map(kind):
        key, item = kind.key_field, kind.item_field
        return pa.map_(
            key.with_type(_replaced(key.type, leaves)),
            item.with_type(_replaced(item.type, leaves)),
            kind.keys_sorted,
        )
    if pa.types.is_dictionary(kind):
        value = _replaced(kind.value_type, leaves)
        return pa.dictionary(_index_type(kind, leaves), value, kind.ordered)
    if isinstance(kind, pa.BaseExtensionType) and leaves is BYTES:
        return _replaced(kind.storage_type, leaves)
    return leaves.get(kind, kind)


def _index_type(kind: pa.DictionaryType, leaves: Mapping[pa.DataType, pa.DataType]) -> pa.DataType:
    """Return the type of a dictionary's indices: of 32 bits at least where values are given anew.

    Those of several batches, or of texts that a filter changes, may be more than were counted on.
    """
    narrow = kind.index_type.bit_width < pa.int32().bit_width
    return pa.int32() if narrow and leaves is not BYTES else kind.index_type


def _piece_rows(row_bytes: int, batch_bytes: int) -> int:
    """Return how many rows of a size to decode at once."""
    return int(np.clip(batch_bytes // max(1, row_bytes), 1, MAX_PIECE_ROWS))


def regrouped(pieces: Iterator[pa.RecordBatch], batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Cut and join pieces until they hold `batch_bytes` with every value written out.

    Small blocks make no small batches, and a dictionary of long texts no large ones.
    """
    held: list[pa.RecordBatch] = []
    size = 0
    for piece in pieces:
        plain = _retyped(piece.schema, NO_VIEWS)
        cast = in_types(piece, plain)
        sizes = row_sizes(cast)
        for first, length in cuts(sizes, batch_bytes):
            held.append(cast.slice(first, length))
            size += int(sizes[first : first + length].sum())
            if size >= batch_bytes:
                yield _joined(held)
                held, size = [], 0
    if held:
        yield _joined(held)


def _joined(held: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Return batches as one."""
    return held[0] if len(held) == 1 else pa.concat_batches(held)
