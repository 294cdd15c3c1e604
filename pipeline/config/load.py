"""Read the configuration: a TOML file, then each `--set`, over the defaults or a saved one."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.sections import LEAST_IN_ALL, Config
from pipeline.errors import ConfigError

MOST_PARTS = 32  # of a key
RETIRED = {"backtest": ("rows", "clusters", "epochs")}
"""Settings that there are no longer, by section: run folders of former versions have them saved."""
SIZES = ("parameters", "total_parameters")  # of the target: one of them


def load_config(
    path: Path | None = None, settings: Sequence[str] = (), base: Mapping[str, Any] | None = None
) -> Config:
    """Return the configuration: `base`, changed by the TOML file, then by each setting.

    Args:
        path: a TOML file.
        settings: each `section.key=value`, as after --set.
        base: a configuration saved before, instead of the defaults.

    Raises:
        ConfigError: When a setting is unknown or out of range; it names the key.
    """
    values: dict[str, Any] = {}
    named = layers(path, settings, base)
    for _, layer in named:
        _merge(values, layer)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise _refused(error, path) from error
    sections = [layer.get("target") for _, layer in named[1:]]
    if any(one.get("total_parameters") for one in sections if isinstance(one, Mapping)):
        _require_more_than_tables(config.target.total_parameters)
    return config


def _require_more_than_tables(total: int) -> None:
    """Refuse a target, as it is given, whose tables take most of it; saved ones are read."""
    if 0 < total < LEAST_IN_ALL:
        raise ConfigError(
            "The target is too small to be given with its embeddings.",
            where="target.total_parameters",
            found=f"{total:,} parameters in all, of which nearly all are embeddings",
            expected=f"{LEAST_IN_ALL:,} or more, or the number without embeddings",
            fix="give that: --set target.parameters=NUMBER",
        )


def layers(
    path: Path | None = None,
    settings: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
    folder: str = "the run folder",
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return where settings come from, and those of each, the later ones over the earlier.

    Raises:
        ConfigError: the file cannot be read or is no TOML; a setting has not the form a.b=value.
    """
    named: list[tuple[str, Mapping[str, Any]]] = []
    if path is not None:
        named.append((str(path), _read_toml(path)))
    named.extend((f"--set {setting}", _parse_setting(setting)) for setting in settings)
    saved = _without_other_size(_without_retired(base or {}), [layer for _, layer in named])
    return [(folder, saved), *named]


def _without_other_size(
    saved: dict[str, Any], given: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a saved configuration without the target's size that one given now is instead of."""
    sections = [layer.get("target") for layer in given]
    now = {key for one in sections if isinstance(one, Mapping) for key in SIZES if one.get(key)}
    target = saved.get("target")
    if len(now) != 1 or not isinstance(target, Mapping):
        return saved
    kept = {key: value for key, value in target.items() if key not in SIZES or key in now}
    return {**saved, "target": kept}


def _without_retired(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved configuration without the settings that there are no longer."""
    return {
        section: {key: value for key, value in values.items() if key not in RETIRED[section]}
        if section in RETIRED and isinstance(values, Mapping)
        else values
        for section, values in saved.items()
    }


def _refused(error: ValidationError, path: Path | None) -> ConfigError:
    """Return the error for the first setting that is unknown or out of range."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    unknown = first["type"] == "extra_forbidden"
    close = get_close_matches(key, _names(), 1) if unknown else []
    return ConfigError(
        "The configuration is not valid.",
        where=f"{key or 'configuration'}{f' in {path}' if path else ''}",
        found="no such setting" if unknown else _found(first["msg"], first.get("input")),
        fix=(f"did you mean {close[0]}? " if close else "correct it; ") + "rote config lists all",
    )


def _found(message: str, given: object) -> str:
    """Return what is wrong with a setting, and its value; of a whole section only what is wrong."""
    wrong = message.removeprefix("Value error, ")
    return (wrong if isinstance(given, Mapping) else f"{wrong} (given: {given!r})")[:300]


def _names() -> list[str]:
    """Return the names of all sections and settings."""
    sections = {name: getattr(Config(), name) for name in Config.model_fields}
    return [
        *sections,
        *(f"{name}.{key}" for name, one in sections.items() for key in type(one).model_fields),
    ]


def _read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises:
        ConfigError: When the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            "The configuration file cannot be read.",
            where=str(path),
            found=error.strerror or "",
            fix="check the path after -c",
        ) from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, numbers without end
        raise ConfigError(
            "The configuration file is not TOML.",
            where=str(path),
            found=str(error)[:300],
            fix="correct that place; rote config lists all settings",
        ) from error


def _parse_setting(setting: str) -> dict[str, Any]:
    """Return `section.key=value` as nested dictionaries; a value that is no TOML is a string.

    Raises:
        ConfigError: When there is no key or no equals sign.
    """
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            "A setting is not of the form key=value.",
            where=f"--set {setting}",
            expected="for example --set near.threshold=0.85",
            fix="write --set SECTION.KEY=VALUE",
        )
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # also a number of thousands of digits
        value = text
    parts = key.strip().split(".")
    if len(parts) > MOST_PARTS:
        raise ConfigError(
            "A setting is not of the form key=value.",
            where=f"--set {key[:40]}...",
            found=f"{len(parts):,} parts",
            fix="write --set SECTION.KEY=VALUE",
        )
    for part in reversed(parts):
        value = {part: value}
    return dict(value)


def _merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Write the new values over the old ones, section by section, in place."""
    for key, value in new.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value if not isinstance(value, Mapping) else json.loads(json.dumps(value))
