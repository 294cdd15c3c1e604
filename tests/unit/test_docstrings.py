"""Docstrings are held to the house: whole sentences, every field named, what is raised is said.

ruff holds the rest: every public thing has one, and an `Args:` section names all parameters.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for room in ("rote", "pipeline", "flows", "schemas")
    for path in (ROOT / room).rglob("*.py")
)
SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Example|Examples):$", re.MULTILINE)
HELPED = ROOT / "flows/arguments.py"  # of the command line: a field's help is its documentation
Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def walk(path: Path) -> Iterator[Documented]:
    """Yield the module of a file, its classes and its functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Documented):
            yield node


def section(node: Documented, name: str) -> list[str]:
    """Return the names that a section of a docstring lists, in order; empty without it."""
    parts = SECTION.split(ast.get_docstring(node) or "")
    found = dict(zip(parts[1::2], parts[2::2], strict=True)).get(name, "")
    return re.findall(r"^ {4}(\w+)(?: \([^)]*\))?:", found, re.MULTILINE)


def fields(node: ast.ClassDef) -> list[str]:
    """Return the public fields of a class, in order, but those that a command line explains."""
    return [
        statement.target.id
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and not statement.target.id.startswith("_")
        and "ClassVar" not in ast.unparse(statement.annotation)
    ]


def is_record(node: ast.ClassDef) -> bool:
    """Tell whether a class is a dataclass or a named tuple."""
    decorators = " ".join(ast.unparse(one) for one in node.decorator_list)
    bases = {ast.unparse(base) for base in node.bases}
    return "dataclass" in decorators or "NamedTuple" in bases


def raised(node: ast.FunctionDef) -> set[str]:
    """Return the exceptions that a function itself raises; "" for one that is made elsewhere."""
    names: set[str] = set()
    todo: list[ast.AST] = list(node.body)
    while todo:
        part = todo.pop()
        if isinstance(part, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(part, ast.Raise) and isinstance(part.exc, ast.Call):
            name = ast.unparse(part.exc.func).rpartition(".")[2]
            names.add(name if name[:1].isupper() else "")
        todo.extend(ast.iter_child_nodes(part))
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_docstrings_stand_alone(path: Path) -> None:
    """The first line is a sentence, all fields of a record are named, raised errors are said."""
    wrong = []
    for node in walk(path):
        name = getattr(node, "name", path.stem)
        text = ast.get_docstring(node)
        if text is None:
            continue
        first = text.splitlines()[0]
        if (
            not (first[0].isupper() or first[0] in "`\"'<" or first[0].isdigit())
            or first[-1] not in ".:?"
            or " " not in first
        ):
            wrong.append(f"{name}: the first line is no whole sentence: {first!r}")
        if isinstance(node, ast.ClassDef) and is_record(node) and path != HELPED:
            listed, own = section(node, "Attributes"), fields(node)
            if [one for one in listed if one in own] != own:
                wrong.append(f"{name}: Attributes lists {listed}, the fields are {own}")
        if isinstance(node, ast.FunctionDef) and not name.startswith("_"):
            said, own_raises = section(node, "Raises"), raised(node)
            if own_raises and not said:
                wrong.append(f"{name}: raises {sorted(own_raises)} and has no section Raises")
            elif own_raises - {""} - set(said):
                wrong.append(f"{name}: raises {sorted(own_raises - {''})}, says {said}")
    assert wrong == []
