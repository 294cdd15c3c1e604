"""Every setting of a configuration in words: its value, where that comes from, its meaning."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.config.load import layers, load_config
from pipeline.config.sections import Config

WIDTH = 96
HEADER = """\
# Every setting of rote. A value that is not the default says where it comes from.
# Save what you change as a file and name it with -c FILE; or --set SECTION.KEY=VALUE.
"""


def explained(
    path: Path | None = None,
    settings: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
    folder: str = "the run folder",
) -> str:
    """Return all settings as a TOML file that can be saved and loaded again.

    Args:
        path: a TOML file of settings.
        settings: settings as `--set` takes them.
        base: settings that a run folder was last worked on with.
        folder: what that run folder is called.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """
    config = load_config(path, settings, base)
    named = layers(path, settings, base, folder)
    parts = [HEADER]
    for name, field in Config.model_fields.items():
        section = getattr(config, name)
        assert isinstance(section, BaseModel)  # noqa: S101 - every field of Config is a section
        about = " ".join((field.annotation.__doc__ or "").split()) if field.annotation else ""
        parts.append(f"\n[{name}]\n{_comment(about)}")
        parts += [_line(section, name, key, _source(named, name, key)) for key in _keys(section)]
    return "".join(parts)


def _keys(section: BaseModel) -> list[str]:
    return list(type(section).model_fields)


def _line(section: BaseModel, name: str, key: str, source: str) -> str:
    """Return one setting with its meaning as a comment above it."""
    field = type(section).model_fields[key]
    value, default = section.model_dump(mode="json")[key], _plain(field.get_default())
    origin = "default" if value == default else f"from {source}; default {toml(default)}"
    about = _comment(f"{field.description or name} ({origin})")
    empty = value is None
    return f"{about}{'# ' if empty else ''}{key} = {'' if empty else toml(value)}".rstrip() + "\n"


def _source(named: Sequence[tuple[str, Mapping[str, Any]]], section: str, key: str) -> str:
    """Return the last layer that sets a key."""
    setters = [name for name, values in named if key in (values.get(section) or {})]
    return setters[-1] if setters else "default"


def _plain(value: object) -> Any:  # noqa: ANN401 - what JSON can hold
    return json.loads(json.dumps(value, default=lambda model: model.model_dump(mode="json")))


def toml(value: Any) -> str:  # noqa: ANN401 - what JSON can hold
    """Return a plain value as TOML writes it; None as the word that says so."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        set_ones = {key: one for key, one in value.items() if one is not None}
        return "{" + ", ".join(f"{toml(key)} = {toml(one)}" for key, one in set_ones.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _comment(text: str) -> str:
    lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in lines) or "\n"
