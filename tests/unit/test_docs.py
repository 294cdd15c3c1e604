"""The documents are held to the program: settings, commands, options, promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from flows.command_line import app, commands
from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.report.html.glossary import TERMS, Term
from pipeline.run import STAGES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIGURATION = ROOT / "docs" / "configuration.md"
GLOSSARY = ROOT / "docs" / "glossary.md"
GLOSSARY_HEADER = """# Glossary

The words of `rote`, each defined once, in the order in which a reader of the README and of the
report meets them. The report has the same sentences at its end, and its words with a dotted line
lead to them. A number beside a setting is its default ([configuration.md](configuration.md)).
"""
HEADER = """# Configuration

One TOML file (`-c rote.toml`), then each `--set section.key=value`. Unknown keys are refused.
Everything but `limits` is part of the fingerprints: changing a setting redoes the stages that
depend on it, and no others.
"""


def settings() -> str:
    """Return docs/configuration.md as the configuration's own descriptions have it."""
    parts = [HEADER]
    for name, section in Config.model_fields.items():
        kind = section.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        about = " ".join((kind.__doc__ or "").split())
        parts.append(f"\n## {name}\n\n{about}\n\n| key | default | meaning |\n|---|---|---|\n")
        for key, field in kind.model_fields.items():
            shown = field.default if not isinstance(field.default, tuple) else list(field.default)
            parts.append(f"| `{name}.{key}` | `{shown!r}` | {field.description} |\n")
    return "".join(parts)


def glossary() -> str:
    """Return docs/glossary.md as the terms have it."""
    entries = (f"\n### {one.title}\n\n{one.definition}\n" for one in TERMS)
    return GLOSSARY_HEADER + "".join(entries)


def options(command: str) -> set[str]:
    """Return the names of a command's options."""
    arguments = app[command].assemble_argument_collection()
    return {name for argument in arguments for name in argument.names if name.startswith("--")}


def test_configuration_page_has_every_setting() -> None:
    """docs/configuration.md is what the settings say of themselves; `settings()` makes it anew."""
    assert CONFIGURATION.read_text(encoding="utf-8") == settings()


def test_glossary_page_has_every_term() -> None:
    """docs/glossary.md is what the terms say; writing `glossary()` to it makes it anew."""
    assert GLOSSARY.read_text(encoding="utf-8") == glossary()


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_glossary_has_only_words_that_readers_meet(term: Term) -> None:
    """Each term is used in the README, in a page of docs/, or in the program's report."""
    paths = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    paths += (ROOT / "pipeline" / "report" / "page").glob("*.py")
    texts = [path.read_text(encoding="utf-8") for path in paths if path != GLOSSARY]
    words = [re.escape(word.removesuffix("y")) for word in (term.name, *term.also)]
    forms = "|".join(words).replace(r"\ ", r"[\s_]+")
    assert re.search(rf"\b(?:{forms})", "\n".join(texts), re.IGNORECASE)


def test_links_into_the_glossary_lead_to_entries() -> None:
    """Each link from the README or docs/ to a word of the glossary leads to its heading."""
    heads = re.findall(r"^### (.+)$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert set(re.findall(r"glossary\.md#([^)\s]+)", text)) <= anchors
    assert text.count("glossary.md") > 5


def test_readme_is_short() -> None:
    """The README has at most 200 lines."""
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("name", sorted(commands()))
def test_readme_names_every_command(name: str) -> None:
    """Each command of the program is in the README."""
    assert re.search(rf"rote {name}|`{name} RUN`", README)


def test_readme_options_exist() -> None:
    """Each option that the README names is one of a command."""
    known = {option for command in commands() for option in options(command)} | {"--version"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert named <= known, named - known


def test_architecture_names_existing_tests() -> None:
    """Each test file that the table of promises names exists."""
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:tests|sql)/[\w/]+\.(?:py|sql))`", page))
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_architecture_names_every_stage() -> None:
    """Each stage of `pipeline/run.py` is in the picture of the architecture."""
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert [name for name in STAGES if name not in page] == []


def test_example_configuration_is_valid() -> None:
    """examples/rote.toml loads as it stands."""
    assert load_config(ROOT / "examples" / "rote.toml").near.keep == "longest"
