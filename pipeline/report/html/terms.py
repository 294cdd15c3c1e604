"""Links from a word of a page to what it means, and the list of meanings that they lead to."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipeline.report.html.glossary import TERMS, Term
from pipeline.report.html.markup import Html, join, tag

_BY_NAME = {term.name: term for term in TERMS}
_LINK = re.compile(r'<a class="term" href="#(term-[^"]+)"')
_CODE = re.compile("`([^`]*)`")


def term(name: str, text: str = "") -> Html:
    """Return a quiet link to the meaning of a term.

    The definition is its tooltip, and the description that a screen reader has. A page links a term
    once in each section, and not inside a button or a summary.

    Args:
        name: of the term in the glossary.
        text: what the link says, where that is another form of the name.
    """
    found = _BY_NAME[name]
    return tag(
        "a",
        text or name,
        class_="term",
        href=f"#{found.anchor}",
        title=_CODE.sub(r"\1", found.definition),
        aria_describedby=_definition_id(found),
    )


def terms_of(page: str) -> list[Term]:
    """Return the terms that a page links, and those that their definitions use, in order."""
    anchors = set(_LINK.findall(page))
    waiting = [one for one in TERMS if one.anchor in anchors]
    found: set[Term] = set()
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += used_by(one)
    return [one for one in TERMS if one in found]


def used_by(one: Term) -> list[Term]:
    """Return the other terms that a definition uses."""
    text = _CODE.sub("", one.definition)
    return [other for other in TERMS if other is not one and _pattern(other).search(text)]


def definitions(terms: Iterable[Term]) -> Html:
    """Return the list of terms with their definitions; each entry is where its links lead."""
    entries = (
        tag(
            "div",
            tag("dt", one.title),
            tag("dd", _with_code(one.definition), id=_definition_id(one)),
            id=one.anchor,
            tabindex="-1",
        )
        for one in terms
    )
    return tag("dl", *entries, class_="terms")


def _definition_id(one: Term) -> str:
    """Return the id of the element that holds a definition."""
    return one.anchor.replace("term-", "meaning-", 1)


def _with_code(text: str) -> Html:
    """Return a text whose parts in backticks are set as code."""
    parts = _CODE.split(text)
    return join(tag("code", part) if place % 2 else part for place, part in enumerate(parts))


def _pattern(one: Term) -> re.Pattern[str]:
    """Return what finds any word for a term in a text, in the singular or plural."""
    forms = []
    for word in (one.name, *one.also):
        stem, plural = (word[:-1], "(?:y|ies)") if word.endswith("y") else (word, "(?:s|es)?")
        forms.append(f"{re.escape(stem)}{plural}")
    return re.compile(rf"(?<![\w-])(?:{'|'.join(forms)})(?![\w-])", re.IGNORECASE)
