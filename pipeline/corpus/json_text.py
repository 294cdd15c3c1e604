"""The text, id, source and priority of one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipeline.corpus.columns import CALLS_FIELD, MESSAGE_FIELDS, PART_FIELD
from pipeline.corpus.fields import value_of

_SAYING = frozenset((*MESSAGE_FIELDS, CALLS_FIELD))
Json = Any
Object = dict[str, Json]


class NotText(Exception):
    """A JSON value that is neither text, null, a list of texts nor chat messages."""


def object_text(item: Object, names: Sequence[str], separator: str) -> str | None:
    """Return the text of an object: several columns are joined, null ones skipped.

    Raises:
        NotText: When a value is neither text, null nor a chat.
    """
    return _join([value_text(value_of(item, name), separator) for name in names], separator)


def value_text(value: Json, separator: str) -> str | None:
    """Return the text of one value; a chat is what its messages say, joined.

    A list may be of texts, and a message may stand alone.

    Raises:
        NotText: When the value is neither text, null, a list of texts nor a chat.
    """
    if value is None or isinstance(value, str):
        return value
    messages = value if isinstance(value, list) else [value]
    said = [
        message if isinstance(message, str) else _said(message, separator)
        for message in messages
        if message is not None
    ]
    return _join(said, separator) or ""


def text_or_null(value: Json, separator: str) -> str | None:
    """Return the text of one value, null where it is none."""
    try:
        return value_text(value, separator)
    except NotText:
        return None


def object_name(item: Object, column: str | None) -> str | None:
    """Return an id or source as a string: text as it is, another scalar as its JSON, else null."""
    value = value_of(item, column) if column is not None else None
    if value is None or isinstance(value, str):
        return value
    return to_json(value) if isinstance(value, int | float) else None


def object_number(item: Object, column: str | None) -> int | float | None:
    """Return a priority as it is written; null when it is no number."""
    value = value_of(item, column) if column is not None else None
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def to_json(value: Json) -> str:
    """Return a value's JSON, compact and with no more escapes than it needs."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _said(message: Json, separator: str) -> str | None:
    """Return what a chat message says: its content and the tools that it calls, joined.

    Raises:
        NotText: When the message is no object, or its content no text.
    """
    if not isinstance(message, dict) or _SAYING.isdisjoint(message):
        raise NotText
    content = next(
        (message[name] for name in MESSAGE_FIELDS if message.get(name) is not None), None
    )
    parts = content if isinstance(content, list) else [content]
    calls = message.get(CALLS_FIELD) or ()
    said = [_part(part) for part in parts] + [_call(call) for call in calls if call is not None]
    return _join(said, separator)


def _part(part: Json) -> str | None:
    """Return the text of a part of a message's content; null of one that is an image or the like.

    Raises:
        NotText: When the part is neither text nor an object.
    """
    if isinstance(part, dict):
        text = part.get(PART_FIELD)
        return text if isinstance(text, str) else None
    if part is not None and not isinstance(part, str):
        raise NotText
    return part


def _call(call: Json) -> str:
    """Return the call of a tool: its name and its arguments as they are written."""
    function = call.get("function", call) if isinstance(call, dict) else {}
    if not isinstance(function, dict):
        return ""
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        arguments = to_json({name: value for name, value in arguments.items() if value is not None})
    return " ".join(part for part in (function.get("name"), arguments) if isinstance(part, str))


def _join(parts: Sequence[str | None], separator: str) -> str | None:
    """Join what is not null: null when nothing is left, empty when all that is left is empty."""
    present = [part for part in parts if part is not None]
    if not present:
        return None
    return separator.join(present) if any(present) else ""
