"""Parts of rote that are not installed: a message, and nothing else needs them."""

import ast
from pathlib import Path

import pytest

from flows.arguments import WorkOptions
from flows.commands import by_prefect
from pipeline import installed
from pipeline.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
BEGINNINGS = (
    "rote.runs",
    "rote.deduplication",
    "flows.commands",
    "flows.command_line",
    "flows.summary",
    "flows.terminal",
    "pipeline.run",
    "pipeline.dry_run",
    "pipeline.sample",
    "pipeline.report.data.gather",
    "pipeline.report.page.page",
    "pipeline.report.summary",
    "pipeline.inspect.explain",
    "pipeline.inspect.explanation_page",
    "pipeline.inspect.lookup",
    "pipeline.inspect.audit",
    "pipeline.export.hub",
    "pipeline.export.database",
)
"""Modules that commands without a forecast and without Prefect import when they are called."""


def path_of(module):
    """Return the file of a module of ours, None for another."""
    place = ROOT / Path(*module.split("."))
    found = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in found if path.is_file()), None)


def imports(path):
    """Yield the names of modules that a file imports as it is loaded, what is in functions not."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_what_needs_no_part_imports_none():
    """Scan, filter, report and questions load without torch, Prefect, scikit-learn, datasketch.

    SciPy is there, but takes 0.7 s to load: a forecast alone does.
    """
    separate = {package for packages in installed.PARTS.values() for package in packages}
    separate.add("scipy")
    todo, seen, found = [*BEGINNINGS], set(), []
    while todo:
        name = todo.pop()
        path = path_of(name)
        if path is None or path in seen:
            continue
        seen.add(path)
        for inner in imports(path):
            if inner.partition(".")[0] in separate:
                found.append(f"{name} imports {inner}")
            todo += [inner, inner.rpartition(".")[0]]
    assert found == []
    assert len(seen) > 100


def test_a_missing_part_is_one_message(monkeypatch):
    """It names the part, what it is for and how to install it; other packages are not ours."""
    with pytest.raises(ConfigError) as told, installed.parts():
        raise ModuleNotFoundError("No module named 'sklearn.metrics'", name="sklearn.metrics")
    assert "pip install 'rote[score]'" in str(told.value)
    assert "no package sklearn" in str(told.value)
    with pytest.raises(ModuleNotFoundError), installed.parts():
        raise ModuleNotFoundError("No module named 'other'", name="other")
    installed.require("score")
    monkeypatch.setattr(installed, "find_spec", lambda _: None)
    assert not installed.has("prefect")
    with pytest.raises(ConfigError, match="for flows and schedules is not installed"):
        installed.require("prefect")


@pytest.mark.parametrize(
    ("asked", "address", "expected"),
    [
        ({}, None, False),
        ({"prefect": True}, None, True),
        ({}, "http://127.0.0.1:4200/api", True),
        ({"local": True}, "http://127.0.0.1:4200/api", False),
    ],
)
def test_prefect_runs_the_units_when_it_is_asked_to(monkeypatch, asked, address, expected):
    """By the option, or by the address of a server in the environment, which --local overrules."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    if address:
        monkeypatch.setenv("PREFECT_API_URL", address)
    assert by_prefect(WorkOptions(**asked)) is expected
