"""The pages of reference: docs/tables.md is made from schemas, docs/api.md from docstrings."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import pyarrow as pa

import rote
import schemas

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROOMS = ("scan", "score", "filter", "inspect")
TABLES_HEADER = """# Tables

The tables of a run folder, each as Parquet in a folder of its name, in the order of the acts that
make them. A column holds no null unless its type says so; its meaning and unit are in the files,
too, as Arrow field metadata. `rote export RUN --to run.duckdb` brings all of them together.
"""
API_HEADER = """# The library

What `import rote` gives, as its docstrings have it; [From Python](python.md) shows it at work.
Errors are `rote.RoteError`.
"""
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")


def tables() -> str:
    """Return docs/tables.md as the schemas have it."""
    parts = [TABLES_HEADER]
    for room in ROOMS:
        parts.append(f"\n## {room}\n")
        for schema in sorted(_schemas(room), key=_name):
            grain = (schema.metadata or {})[b"grain"].decode()
            parts.append(f"\n### {_name(schema)}\n\n{grain[:1].upper()}{grain[1:]}.\n\n")
            parts.append("| column | type | unit | meaning |\n|---|---|---|---|\n")
            parts += (f"| {' | '.join(row)} |\n" for row in _rows(schema, ""))
    return "".join(parts)


def _schemas(room: str) -> list[pa.Schema]:
    """Return the tables of a room of schemas/, each once."""
    package = importlib.import_module(f"schemas.{room}")
    found: dict[str, pa.Schema] = {}
    for module in pkgutil.iter_modules(package.__path__):
        for value in vars(importlib.import_module(f"schemas.{room}.{module.name}")).values():
            if isinstance(value, pa.Schema) and b"grain" in (value.metadata or {}):
                found[_name(value)] = value
    return list(found.values())


def _name(schema: pa.Schema) -> str:
    return (schema.metadata or {})[b"table"].decode()


def _rows(fields: Any, above: str) -> list[tuple[str, str, str, str]]:
    """Return name, type, unit and meaning of each field, those in structs after them."""
    rows = []
    for place in range(len(fields) if isinstance(fields, pa.Schema) else fields.num_fields):
        one = fields.field(place)
        about = {key.decode(): value.decode() for key, value in (one.metadata or {}).items()}
        kind = "struct" if pa.types.is_struct(one.type) else str(one.type)
        null = " or null" if one.nullable else ""
        meaning = about.get("doc", "").replace("|", "\\|")
        rows.append((f"`{above}{one.name}`", f"{kind}{null}", about.get("unit", ""), meaning))
        if pa.types.is_struct(one.type):
            rows += _rows(one.type, f"{above}{one.name}.")
    return rows


def api() -> str:
    """Return docs/api.md as the docstrings of the library have it."""
    parts = [API_HEADER]
    for name in sorted(rote.__all__, key=str.casefold):
        value = getattr(rote, name)
        parts.append(f"\n## rote.{name}\n\n{_described(value)}")
        for inner, member in sorted(vars(value).items() if isinstance(value, type) else ()):
            own = member.fget if isinstance(member, property) else member
            if inner.startswith("_") or not callable(own) or not own.__doc__ or name == "RoteError":
                continue
            called = inner if isinstance(member, property) else f"{inner}()"
            parts.append(f"\n### {name}.{called}\n\n{_described(member)}")
    return "".join(parts)


def _described(value: Any) -> str:
    """Return the signature of a function and the docstring of anything, as Markdown."""
    lines, listed = [], False
    for line in (inspect.getdoc(value) or "").splitlines():
        section, item = _SECTION.match(line), re.match(r"^ {4}(\S[^:]*): (.*)$", line)
        if section:
            listed = True
            lines.append(f"*{section[1]}*\n")
        elif listed and item:
            lines.append(f"- `{item[1]}`: {item[2]}")
        else:
            lines.append(f"  {line.strip()}" if listed and line.strip() else line)
    called = f"```\n{_signature(value)}\n```\n\n" if inspect.isfunction(value) else ""
    return called + "\n".join(lines).rstrip() + "\n"


def _signature(value: Any) -> str:
    """Return how a function is called, with types as they are written."""
    shown = []
    for one in inspect.signature(value).parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        kind = "" if one.annotation is one.empty else f": {one.annotation}"
        default = "" if one.default is one.empty else f" = {one.default!r}"
        shown.append(f"{one.name}{kind}{default}")
    return f"{value.__name__}({', '.join(shown)})"


def test_the_page_of_tables_is_what_the_schemas_say() -> None:
    """docs/tables.md has every table and column; writing `tables()` to it makes it anew."""
    assert (DOCS / "tables.md").read_text(encoding="utf-8") == tables()
    assert len(list(pkgutil.iter_modules(schemas.__path__))) > len(ROOMS)
    assert tables().count("\n### ") > 30


def test_the_page_of_the_library_is_what_its_docstrings_say() -> None:
    """docs/api.md has every public name; writing `api()` to it makes it anew."""
    assert (DOCS / "api.md").read_text(encoding="utf-8") == api()
