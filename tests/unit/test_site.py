"""The pages of docs/ as a site: links, map, commands in them; the example for pull requests."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.command_line import commands
from pipeline.config.load import load_config
from tests.unit.test_docs import options

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GUIDES = [page for page in PAGES if page.parent.name in ("tutorials", "how-to")]
GITHUB = ROOT / "examples" / "github"
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"^rote (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the site and code hosts make them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def named(entry: Any) -> list[str]:
    """Return the pages of a part of the site's map."""
    if isinstance(entry, str):
        return [entry]
    inside = entry.values() if isinstance(entry, dict) else entry
    return [page for part in inside for page in named(part)]


@pytest.mark.parametrize(
    "page",
    [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """Each link of a page to a file of the repository leads there, and to a heading that it has."""
    lost = []
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
        elif page.is_relative_to(DOCS) and not target.is_relative_to(DOCS):
            lost.append(f"{link} is no page of the site")
    assert lost == []


def test_every_page_is_in_the_map_of_the_site() -> None:
    """mkdocs.yml names each page of docs/ once and no other; nothing is loaded from elsewhere."""
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = named(site["nav"])
    assert sorted(pages) == [page.relative_to(DOCS).as_posix() for page in PAGES]
    assert site["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css", "extra"} & site.keys()


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_commands_of_the_guides_exist(page: Path) -> None:
    """Each command, option and setting in a tutorial or a how-to is one of the program."""
    found = _COMMAND.findall(page.read_text(encoding="utf-8"))
    assert found
    for line in found:
        command, *words = shlex.split(line, comments=True)
        assert command in commands(), line
        known = options(command) | {"-c", "-v"}
        used = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert used <= known, (line, used - known)
        settings = [after for word, after in pairwise(words) if word == "--set"]
        load_config(settings=settings)


def test_settings_in_the_guides_load(tmp_path: Path) -> None:
    """Each block of TOML in a guide is a settings file as it stands."""
    texts = [page.read_text(encoding="utf-8") for page in GUIDES]
    blocks = [b for text in texts for b in re.findall(r"```toml\n(.+?)```", text, re.DOTALL)]
    assert blocks
    for block in blocks:
        place = tmp_path / "rote.toml"
        place.write_text(block, encoding="utf-8")
        load_config(place)


def test_the_notebook_shows_what_its_code_gives() -> None:
    """Run again, cell by cell, it prints and draws what it was saved with."""
    book = json.loads((DOCS / "notebooks" / "scaling.ipynb").read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    for cell in (cell for cell in book["cells"] if cell["cell_type"] == "code"):
        *before, last = ast.parse("".join(cell["source"])).body
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(ast.Module(before, []), "cell", "exec"), names)  # noqa: S102 - our own file
            assert isinstance(last, ast.Expr)
            drawn: Any = eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307
        (output,) = cell["outputs"]
        if drawn is None:
            assert "".join(output["text"]) == printed.getvalue()
        else:
            assert "".join(output["data"]["image/svg+xml"]) == drawn._repr_svg_()


def test_the_action_for_pull_requests_runs_what_there_is() -> None:
    """The composite action gives what the workflow asks for, and its command has these options."""
    action = yaml.safe_load((GITHUB / "rote-report" / "action.yml").read_text(encoding="utf-8"))
    workflow = yaml.safe_load((GITHUB / "workflow.yml").read_text(encoding="utf-8"))
    assert action["runs"]["using"] == "composite"
    steps = action["runs"]["steps"]
    assert all(step.get("shell") == "bash" for step in steps if "run" in step)
    script = "\n".join(step.get("run", "") for step in steps)
    assert "${{" not in script  # inputs reach the shell as variables, never as its text
    (line,) = re.findall(r"^rote (\w+) (.+)$", script, re.MULTILINE)
    assert line[0] in commands()
    used = set(re.findall(r"--[a-z-]+", line[1])) | {"--strict"}
    assert used <= options(line[0])
    assert {"--no-score", "--local"} <= used
    assert "report/summary.md" in script
    (own,) = (s for s in workflow["jobs"]["rote"]["steps"] if "rote-report" in s.get("uses", ""))
    assert own["with"].keys() <= action["inputs"].keys()
    assert own["uses"].endswith(f"/{(GITHUB / 'rote-report').name}")
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    needed = {name for name, one in action["inputs"].items() if one.get("required")}
    assert needed <= own["with"].keys()
