"""The text, id, source and priority of one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipeline.corpus.columns import MESSAGE_FIELDS

Json = Any
Object = dict[str, Json]


class NotText(Exception):
    """A JSON value that is neither text, null nor a list of chat messages."""


def object_text(item: Object, names: Sequence[str], separator: str) -> str | None:
    """Return the text of an object: several columns are joined, null ones skipped.

    Raises:
        NotText: When a value is neither text, null nor a chat.
    """
    return _join([value_text(item.get(name), separator) for name in names], separator)


def value_text(value: Json, separator: str) -> str | None:
    """Return the text of one value; a chat is its contents, joined.

    Raises:
        NotText: When the value is neither text, null nor a chat.
    """
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise NotText
    return _join([_content(message) for message in value if message is not None], separator) or ""


def object_name(item: Object, column: str | None) -> str | None:
    """Return an id or source as a string: text as it is, another scalar as its JSON, else null."""
    value = item.get(column) if column is not None else None
    if value is None or isinstance(value, str):
        return value
    return to_json(value) if isinstance(value, int | float) else None


def object_number(item: Object, column: str | None) -> int | float | None:
    """Return a priority as it is written; null when it is no number."""
    value = item.get(column) if column is not None else None
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def to_json(value: Json) -> str:
    """Return a value's JSON, compact and with no more escapes than it needs."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _content(message: Json) -> str | None:
    """Return the content of a chat message.

    Raises:
        NotText: When the message is no object, or its content no text.
    """
    if not isinstance(message, dict):
        raise NotText
    content = next((message[name] for name in MESSAGE_FIELDS if name in message), None)
    if content is not None and not isinstance(content, str):
        raise NotText
    return content


def _join(parts: Sequence[str | None], separator: str) -> str | None:
    """Join what is not null: null when nothing is left, empty when all that is left is empty."""
    present = [part for part in parts if part is not None]
    if not present:
        return None
    return separator.join(present) if any(present) else ""
