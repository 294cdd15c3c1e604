"""Settings as Python has them, in the words of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

Value: TypeAlias = (
    "str | int | float | bool | list[Value] | tuple[Value, ...] | Mapping[str, Value]"
)
Settings: TypeAlias = Mapping[str, Value]  # {"near.threshold": 0.9}


def as_options(settings: Settings | None) -> list[str]:
    """Return settings as the command line takes them after --set."""
    return [f"{name}={_toml(value)}" for name, value in (settings or {}).items()]


def _toml(value: Value) -> str:
    """Return a value as TOML, of which JSON is a part but for tables."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
