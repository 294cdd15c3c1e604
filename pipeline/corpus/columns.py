"""The choice of the columns of a shard that are read as text, id, source and priority."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from pipeline.config.sections import InputConfig
from pipeline.corpus.fields import field_of, first_of, top_of
from pipeline.errors import SchemaMismatch

TEXT_NAMES = ("text", "content", "body", "document", "raw_content")
CHAT_NAMES = ("messages", "conversations", "conversation", "dialogue", "chat")
TEXT_GROUPS = (
    ("instruction", "input", "output"),
    ("instruction", "output"),
    ("instruction", "context", "response"),
    ("instruction", "response"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "chosen", "rejected"),
    ("question", "answer"),
    ("problem", "solution"),
    ("chosen", "rejected"),
)  # of fine-tuning sets; they are joined in this order
ID_NAMES = ("id", "doc_id", "document_id", "uuid", "__key__")
SOURCE_NAMES = ("source", "dataset", "subset", "domain")
MESSAGE_FIELDS = ("content", "value", "parts", "utterance", "text")
SPEAKERS = ("role", "from", "speaker", "author", "user", "sender")  # fields that tell who speaks
PART_FIELD, CALLS_FIELD = "text", "tool_calls"
TEXT_TYPES = "text, bytes, a list of texts, or chat messages"
SAMPLED = 200  # values that are looked at, of a column that no known name tells
LONG_BYTES, VERY_LONG_BYTES = 20, 200  # of a value that may be a text, that is one

Sample: TypeAlias = Callable[[str], Sequence[bytes | None]]


@dataclass(frozen=True)
class Columns:
    """The columns of a shard that are read as what.

    Attributes:
        text: one or several, joined.
        id: of the document's name, None without one.
        source: of the document's source, None without one.
        priority: of a number that ranks copies, None without one.
        guessed: roles that were not configured.
    """

    text: tuple[str, ...]
    id: str | None
    source: str | None
    priority: str | None
    guessed: tuple[str, ...]


def resolve_columns(
    schema: pa.Schema, config: InputConfig, where: str, format: str, sample: Sample | None = None
) -> Columns:
    """Return the columns of a shard that are read as text, id, source and priority.

    In JSON Lines the schema is what the head of the file shows and each row is judged by itself, so
    text and id types are not checked there. A file of text or of token ids has the columns id and
    text.

    Args:
        schema: the columns of the shard.
        config: the columns that the user named.
        where: the file, for errors.
        format: of the file.
        sample: returns the first values of a column; without it only its name and type count.

    Raises:
        SchemaMismatch: When a column is missing, doubled or of a wrong type, or no text column can
            be guessed.
    """
    if format in ("text", "tokens"):
        return Columns(("text",), "id", None, None, ())
    _refuse_doubled(schema, where)
    chosen = _chosen(schema, config, where)
    named = [top_of(name, schema.names) for name in (*chosen, *_configured(schema, config, where))]
    priority = None if config.priority is None else field_of(schema, config.priority)
    if format != "jsonl":
        _check_types(schema, config, chosen, where)
    if priority is not None and format != "csv" and not _is_number(priority.type):
        raise _wrong_type(schema, priority, where, "a number")
    guessed = [role for role in ("text", "id", "source") if not getattr(config, role)]
    id_name = config.id or _first(schema, ID_NAMES, is_scalar)
    source = config.source or _first(schema, SOURCE_NAMES, is_scalar)
    taken = {id_name, source, *named}
    text = chosen or _guess_text(schema, taken, where, format, sample)
    found = {"text": text, "id": id_name, "source": source}
    return Columns(
        text, id_name, source, config.priority, tuple(role for role in guessed if found[role])
    )


def is_string(kind: pa.DataType) -> bool:
    """Tell whether a type holds text or bytes, perhaps behind a dictionary; nulls only count."""
    if pa.types.is_dictionary(kind):
        return is_string(kind.value_type)
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return is_bytes(kind) or pa.types.is_null(kind) or any(test(kind) for test in tests)


def is_bytes(kind: pa.DataType) -> bool:
    """Tell whether a type holds bytes of any length."""
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def is_chat(kind: pa.DataType) -> bool:
    """Tell whether a type is a list of structs with a string field that is a message's text."""
    if not is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    field = message_field(kind.value_type)
    return field is not None and is_string(kind.value_type.field(field).type)


def is_turns(kind: pa.DataType) -> bool:
    """Tell whether a type holds several texts or messages of any shape, or one message.

    A message is a struct with text in the first of `MESSAGE_FIELDS`: a string, a list of strings,
    or a list of parts with a field `text`.
    """
    if is_list(kind):
        inner = kind.value_type
        return _is_message(inner) or (is_string(inner) and not pa.types.is_null(inner))
    return _is_message(kind)


def is_spoken(kind: pa.DataType) -> bool:
    """Tell whether a type holds a chat message, or several, that say who speaks."""
    one = kind.value_type if is_list(kind) else kind
    return _is_message(one) and any(one.get_field_index(name) >= 0 for name in SPEAKERS)


def _is_message(kind: pa.DataType) -> bool:
    """Tell whether a type is a chat message of any shape."""
    name = message_field(kind) if pa.types.is_struct(kind) else None
    if name is None:
        return False
    content = kind.field(name).type
    if not is_list(content):
        return is_string(content)
    part = content.value_type
    return is_string(part) or (
        pa.types.is_struct(part)
        and part.get_field_index(PART_FIELD) >= 0
        and is_string(part.field(PART_FIELD).type)
    )


def has_calls(kind: pa.DataType) -> bool:
    """Tell whether the messages of a list can call tools."""
    return is_list(kind) and _has_field(kind.value_type, CALLS_FIELD)


def _has_field(kind: pa.DataType, name: str) -> bool:
    """Tell whether a type is a struct with a field."""
    return bool(pa.types.is_struct(kind) and kind.get_field_index(name) >= 0)


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can be the text."""
    return is_string(kind) or is_turns(kind)


def is_list(kind: pa.DataType) -> bool:
    """Tell whether a type is a list of any of Arrow's plain layouts."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def message_field(struct: pa.StructType) -> str | None:
    """Return the name of the field of a chat message that holds its text."""
    names = {struct.field(position).name for position in range(struct.num_fields)}
    return next((name for name in MESSAGE_FIELDS if name in names), None)


def is_scalar(kind: pa.DataType) -> bool:
    """Tell whether a value of this type can be written as one string: nothing nested."""
    if isinstance(kind, pa.BaseExtensionType):
        return is_scalar(kind.storage_type)
    return not pa.types.is_nested(kind)


def _is_number(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can be the priority."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _chosen(schema: pa.Schema, config: InputConfig, where: str) -> tuple[str, ...]:
    """Return the text columns that the user named, of alternatives the first that is there.

    Raises:
        SchemaMismatch: When one is missing.
    """
    found = []
    for entry in config.text:
        name = first_of(schema, entry)
        if name is None:
            raise _missing(schema, "text", entry, where)
        found.append(name)
    return tuple(found)


def _configured(schema: pa.Schema, config: InputConfig, where: str) -> list[str]:
    """Return the other columns that the user named.

    Raises:
        SchemaMismatch: When one is missing.
    """
    single = (("id", config.id), ("source", config.source), ("priority", config.priority))
    named = [(role, name) for role, name in single if name is not None]
    for role, name in named:
        if field_of(schema, name) is None:
            raise _missing(schema, role, name, where)
    return [name for _, name in named]


def _missing(schema: pa.Schema, role: str, name: str, where: str) -> SchemaMismatch:
    """Return the error for a column that the user named and that is not there."""
    return SchemaMismatch(
        f"The {role} column is missing.",
        where=f"{where}, column {name}",
        found=_listing(schema),
        expected=name,
        fix=f"--set input.{role}=NAME",
    )


def _check_types(schema: pa.Schema, config: InputConfig, chosen: Sequence[str], where: str) -> None:
    """Check the types of the columns that the user named.

    Raises:
        SchemaMismatch: When a column cannot be read as its role.
    """
    for name in chosen:
        found = field_of(schema, name)
        if found is not None and not is_text(found.type):
            raise _wrong_type(schema, found, where, TEXT_TYPES)
    for single in (config.id, config.source):
        found = None if single is None else field_of(schema, single)
        if found is not None and not is_scalar(found.type):
            raise _wrong_type(schema, found, where, "a single value")


def _guess_text(
    schema: pa.Schema, taken: set[str | None], where: str, format: str, sample: Sample | None
) -> tuple[str, ...]:
    """Return the columns that are probably the text: by their names, or as they look.

    Without a known name it is the only column that holds chats or strings that look like text.

    Raises:
        SchemaMismatch: When there is none, or more than one.
    """
    names = {name.casefold(): name for name in reversed(schema.names)}
    known = next((names[name] for name in (*TEXT_NAMES, *CHAT_NAMES) if name in names), None)
    if known is not None and (format == "jsonl" or is_text(schema.field(known).type)):
        return (known,)
    if known is not None:
        raise _wrong_type(schema, schema.field(known), where, TEXT_TYPES)
    for group in TEXT_GROUPS:
        columns = tuple(names[name] for name in group if name in names)
        if len(columns) == len(group) and all(is_text(schema.field(c).type) for c in columns):
            return columns
    strings = [
        field.name
        for field in schema
        if is_string(field.type) and not pa.types.is_null(field.type) and field.name not in taken
    ]
    alike = [name for name in strings if sample is None or looks_like_text(sample(name))]
    alike += [field.name for field in schema if is_spoken(field.type) and field.name not in taken]
    if len(alike) == 1:
        return (str(alike[0]),)
    raise _no_text(schema, where, alike)


def looks_like_text(values: Sequence[bytes | None]) -> bool:
    """Tell whether some values of a column look like texts: mostly distinct, most of some words.

    So a label, a name, a date or an address is not taken for the text of its row.
    """
    present = [value for value in values if value]
    long = [value for value in present if len(value) >= LONG_BYTES and _has_words(value)]
    if not present or 2 * len(long) < len(present):
        return False
    very_long = sum(len(value) >= VERY_LONG_BYTES for value in present)
    return 2 * len(set(present)) > len(present) or 2 * very_long >= len(present)


def _has_words(value: bytes) -> bool:
    """Tell whether a value has words: spaces between letters, or letters that need none."""
    return len(value.split(maxsplit=2)) > 2 or not value.isascii()


def _no_text(schema: pa.Schema, where: str, alike: Sequence[str]) -> SchemaMismatch:
    """Return the error for a file without a column that is clearly the text."""
    names = ", ".join((*TEXT_NAMES, *CHAT_NAMES))
    several = f" (there are {len(alike)}: {', '.join(alike[:8])})" if len(alike) > 1 else ""
    return SchemaMismatch(
        "No text column was found.",
        where=where,
        found=_listing(schema),
        expected=f"one of {names}; a known group such as prompt and completion; or a single column "
        f"of chats, or whose values look like text, mostly distinct and of several words{several}",
        fix="--set input.text=NAME" + _fields_that_are_text(schema),
    )


def _fields_that_are_text(schema: pa.Schema) -> str:
    """Return the first fields of structs that could be the text, as they are named; or nothing."""
    inside = [
        f"{column.name}.{field.name}"
        for column in schema
        if pa.types.is_struct(column.type)
        for field in column.type
        if is_string(field.type)
    ]
    return f"; a field of a column too, as {' or '.join(inside[:2])}" if inside else ""


def _first(
    schema: pa.Schema, names: Sequence[str], fits: Callable[[pa.DataType], bool]
) -> str | None:
    """Return the first of the names that is a column of a fitting type."""
    columns = {name.casefold(): name for name in reversed(schema.names)}
    found = (columns[name] for name in names if name in columns)
    return next((name for name in found if fits(schema.field(name).type)), None)


def _wrong_type(schema: pa.Schema, field: pa.Field, where: str, expected: str) -> SchemaMismatch:
    """Return the error for a column whose type cannot be read as asked."""
    return SchemaMismatch(
        "A column has a type that cannot be read as asked.",
        where=f"{where}, column {field.name}",
        found=str(field.type),
        expected=expected,
        fix=f"name another column; there are: {_listing(schema)}",
    )


def _refuse_doubled(schema: pa.Schema, where: str) -> None:
    """Check that no two columns have the same name.

    Raises:
        SchemaMismatch: When two have.
    """
    doubled = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if doubled:
        raise SchemaMismatch(
            "Two columns have the same name.",
            where=where,
            found=", ".join(doubled),
            fix="rename one of them",
        )


def _listing(schema: pa.Schema) -> str:
    """Return the columns and their types, as a message shows them."""
    shown = [f"{field.name}: {_short(field.type)}" for field in list(schema)[:40]]
    return ", ".join(shown) + (", ..." if len(schema) > len(shown) else "") or "no columns"


def _short(kind: pa.DataType) -> str:
    """Return a type in at most 60 characters."""
    text = str(kind)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_column(schema: pa.Schema, column: str, where: str) -> None:
    """Check that no column of the corpus has the name of the one that rote adds.

    Raises:
        SchemaMismatch: When one has, in capitals or small letters.
    """
    same = [name for name in schema.names if name.casefold() == column.casefold()]
    if same:  # SQL engines do not tell them apart by case
        raise SchemaMismatch(
            "The corpus has a column of the name that rote adds.",
            where=where,
            found=f"column {same[0]}",
            fix="name another one: --set emit.column=NAME",
        )
