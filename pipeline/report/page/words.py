"""The section "Words": what the terms mean that the page links, the sentences of the glossary."""

from __future__ import annotations

from pipeline.report.html.markup import Html, join, tag
from pipeline.report.html.terms import definitions, terms_of


def words(page: str) -> Html:
    """Return the section "Words" of the page.

    Args:
        page: the markup of all other sections.
    """
    intro = (
        "Words with a dotted line lead here. A definition may use other words of this list. "
        "docs/glossary.md has all words of rote."
    )
    return join([tag("p", intro, class_="prose"), definitions(terms_of(page))])
