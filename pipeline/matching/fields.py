"""The fields of the rows of some files: what is held against a corpus, as texts of their own.

Files are read by the readers of the corpus. A row of several text columns (question and answer,
prompt and completion) gives a text for each, and a chat one for what each role says, so that an
answer is never part of the question that is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import InputConfig
from pipeline.corpus import Shard, find_shards, read_documents, shard_columns, shard_schema
from pipeline.corpus.columns import SPEAKERS, is_chat, message_field
from pipeline.corpus.documents import text_parts
from pipeline.corpus.fields import first_of
from pipeline.corpus.files import further
from pipeline.errors import ConfigError, InputError, SchemaMismatch
from pipeline.text.arrays import Int64
from pipeline.text.segmentation import valid_utf8

QUESTION, ANSWER, TEXT = "question", "answer", "text"
KINDS = {
    **dict.fromkeys(("question", "prompt", "instruction", "problem", "query", "input"), QUESTION),
    **dict.fromkeys(("answer", "completion", "response", "output", "solution"), ANSWER),
    **dict.fromkeys(("answers", "target", "chosen", "rejected"), ANSWER),
    **dict.fromkeys(("user", "human"), QUESTION),
    **dict.fromkeys(("assistant", "gpt", "model", "bot"), ANSWER),
}  # by the name of a column, or of who speaks in a chat
TABLE_BYTES = 40  # of memory for a byte of text that is held against a corpus
FIELDS = pa.schema(
    [
        pa.field("file", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("item", pa.int64(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)

__all__ = ["ANSWER", "FIELDS", "QUESTION", "TEXT", "FieldFile", "Fields", "read_fields"]


@dataclass(frozen=True)
class FieldFile:
    """A file whose rows are held against a corpus.

    Attributes:
        name: its path below what was given.
        split: train, validation or test, where its path tells.
        rows: rows that are held against the corpus.
        rejected: rows that have no text, or none that can be read.
        columns: the columns that were taken for texts.
    """

    name: str
    split: str | None
    rows: int
    rejected: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Fields:
    """The texts of the rows of some files.

    Attributes:
        files: in order of name.
        table: one row per text: number of its file, row in it, number of the row among all,
            name and kind of the field, the text.
    """

    files: tuple[FieldFile, ...]
    table: pa.Table


def read_fields(
    names: Sequence[str], config: InputConfig, columns: Sequence[str] = (), most_bytes: int = 0
) -> Fields:
    """Return the texts of the rows of some files, folders or globs.

    Args:
        names: of the files.
        config: how the corpus is read; its columns are used in files that have them.
        columns: the columns with text; empty: those of the corpus, else a guess.
        most_bytes: of text that there is room for; 0 for no bound.

    Raises:
        InputError: When a file cannot be read, or no row has a text.
        ConfigError: When there is more text than there is room for.
    """
    shards, _ = find_shards(names, further(config))
    files: list[FieldFile] = []
    parts: list[pa.Table] = []
    item = size = 0
    for number, shard in enumerate(shards):
        own = _input_of(shard, config, columns)
        texts = _columns_of(shard, own)
        rows = rejected = 0
        for batch in read_documents(shard, own, everything=True):
            rejected += len(batch.rejected)
            rows += len(batch.rows)
            if batch.columns is None or not len(batch.rows):
                continue
            for name in texts:
                part = _texts_of(batch.columns.column(name), name, own.text_separator)
                for field, values in part:
                    parts.append(_table(number, batch.rows, item, field, values))
                    size += parts[-1]["text"].nbytes
            item += len(batch.rows)
            _require_room(size, most_bytes, shard)
        files.append(FieldFile(shard.name, shard.split, rows, rejected, texts))
    if not parts or not sum(part.num_rows for part in parts):
        raise InputError(
            "No row of the files has a text.",
            where=", ".join(shard.name for shard in shards[:10]),
            found=f"{sum(file.rejected for file in files):,} rows without one",
            fix="name the columns with text: --columns NAME,NAME",
        )
    order = [("item", "ascending"), ("field", "ascending")]
    return Fields(tuple(files), pa.concat_tables(parts).sort_by(order))


def _require_room(size: int, most: int, shard: Shard) -> None:
    """Refuse more text than the budget has room for.

    Raises:
        ConfigError: When there is.
    """
    if most and size > most:
        raise ConfigError(
            "There is more text to hold against the corpus than the memory budget has room for.",
            where=f"{shard.name}, limits.memory",
            found=f"more than {most:,} bytes of text",
            fix="give fewer files at a time, or raise limits.memory",
        )


def _input_of(shard: Shard, config: InputConfig, columns: Sequence[str]) -> InputConfig:
    """Return how one file is read: as the corpus, where it has the columns of the corpus."""
    roles = {"id": None, "source": None, "priority": None}
    plain = config.model_copy(update={"text": (), "skip_bad_files": False, **roles})
    if columns:
        return plain.model_copy(update={"text": tuple(columns)})
    schema = _schema_of(shard, plain)
    if config.text and all(first_of(schema, entry) is not None for entry in config.text):
        return plain.model_copy(update={"text": config.text})
    return plain


def _schema_of(shard: Shard, config: InputConfig) -> pa.Schema:
    """Return a file's columns; none where they tell no text by themselves."""
    try:
        return shard_schema(shard, config)
    except SchemaMismatch:
        return pa.schema([])


def _columns_of(shard: Shard, config: InputConfig) -> tuple[str, ...]:
    """Return the text columns of a file.

    Raises:
        SchemaMismatch: When they are not there, or none is clearly a text.
    """
    try:
        return shard_columns(shard, config).text
    except SchemaMismatch as error:
        raise SchemaMismatch(
            error.what,
            where=error.where,
            found=error.found,
            expected=error.expected,
            fix="name the columns with text: --columns NAME,NAME",
        ) from error


def _texts_of(
    column: pa.Array, name: str, separator: str
) -> Iterator[tuple[str, pa.LargeBinaryArray]]:
    """Yield the fields of one column: itself, or what each role says where it holds chats."""
    role = next((one for one in SPEAKERS if _has_role(column.type, one)), None)
    if role is None:
        yield name, text_parts(column, separator)
        return
    said_in = message_field(column.type.value_type) or ""
    rows = [_by_role(chat or [], role, said_in, separator) for chat in column.to_pylist()]
    for speaker in sorted({speaker for row in rows for speaker in row}):
        said = [row.get(speaker) for row in rows]
        yield f"{name}.{speaker}", pa.array(said, pa.large_string()).cast(pa.large_binary())


def _has_role(kind: pa.DataType, name: str) -> bool:
    return is_chat(kind) and kind.value_type.get_field_index(name) >= 0


def _by_role(chat: list[dict[str, Any]], role: str, said_in: str, separator: str) -> dict[str, str]:
    """Return what each role says in a chat; a Python loop per message.

    Args:
        chat: its messages.
        role: the field that tells who speaks.
        said_in: the field that holds what is said.
        separator: joins what one role says.
    """
    said: dict[str, list[str]] = {}
    for message in chat:
        content = message.get(said_in) if message else None
        if isinstance(content, str) and content:
            said.setdefault(str(message.get(role) or TEXT), []).append(content)
    return {speaker: separator.join(parts) for speaker, parts in said.items()}


def _table(
    number: int,
    rows: Int64,
    item: int,
    field: str,
    values: pa.LargeBinaryArray,
) -> pa.Table:
    """Return the texts of one field of some rows; those that are empty or no UTF-8 are left out."""
    count = len(values)
    kind = KINDS.get(field.rpartition(".")[2].casefold(), TEXT)
    table = pa.table(
        [
            pa.array([number] * count, pa.int32()),
            pa.array(rows, pa.int64()),
            pa.array(range(item, item + count), pa.int64()),
            pa.array([field] * count, pa.string()),
            pa.array([kind] * count, pa.string()),
            values,
        ],
        FIELDS.names,
    )
    there = pc.and_(
        pa.array(valid_utf8(values)), pc.fill_null(pc.greater(pc.binary_length(values), 0), False)
    )
    table = table.filter(there)
    text = table["text"].combine_chunks()
    joined = text if isinstance(text, pa.Array) else pa.concat_arrays(text.chunks)
    return table.set_column(5, "text", joined.view(pa.large_string())).cast(FIELDS)
