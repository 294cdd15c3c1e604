"""The page: one file that loads nothing, the same bytes for the same data."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.html.assets import head, scripts
from pipeline.report.html.markup import Html, join, tag
from pipeline.report.page import opening
from pipeline.report.page.apart import apart
from pipeline.report.page.audit import audit
from pipeline.report.page.changes import changes
from pipeline.report.page.contamination import contamination
from pipeline.report.page.curves import curves
from pipeline.report.page.ending import ending, footer
from pipeline.report.page.mitigations import mitigations
from pipeline.report.page.personal import personal
from pipeline.report.page.proof import proof
from pipeline.report.page.removed import removed
from pipeline.report.page.risk import risk
from pipeline.report.page.scanned import scanned
from pipeline.report.page.signals import signals
from pipeline.report.page.sources import sources
from pipeline.report.page.verdict import verdict
from pipeline.report.page.words import words
from pipeline.report.page.worst import worst

SECTIONS = (
    ("scanned", "What was scanned, and is it whole", scanned),
    ("risk", "What a model would learn by rote, and how sure that is", risk),
    ("removed", "What was removed, what that costs and avoids", removed),
    ("sources", "Where it comes from", sources),
)
APPENDIX = (
    ("worst", "The worst clusters and passages", worst),
    ("curves", "Dose, size and context", curves),
    ("signals", "Signals: what else the proxies tell", signals),
    ("mitigations", "Mitigations: what was added for training", mitigations),
    ("proof", "Calibration and back-test", proof),
    ("audit", "Self-audit and alarms", audit),
    ("settings", "Limits, settings, versions, digests", ending),
)
"""The sections that begin on a new page in print."""
WORDS = ("words", "Words")


def page(data: Row) -> str:
    """Return the whole page, its sections in the order of a reader's questions."""
    asked = [("changes", "What changed", changes)] if data["changes"] else []
    if data["contamination"]:
        asked.append(("contamination", "Evaluation items in the corpus", contamination))
    if data["personal"]:
        asked.append(("personal", "Personal data", personal))
    more = [("apart", "Shown apart", apart)] if data["config"]["report"]["apart"] else []
    appendix = [*more, *APPENDIX]
    sections = [*asked, *SECTIONS, *appendix]
    first = [
        opening.header(data),
        verdict(data),
        opening.tiles(data),
        opening.alarms(data["alarms"]),
        opening.remove_first(data),
    ]
    body = [_section(name, title, made(data)) for name, title, made in sections]
    body.insert(len(body) - len(appendix), tag("h2", "Appendix", class_="appendix"))
    contents = _contents([*((name, title) for name, title, _ in sections), WORDS])
    meanings = _section(*WORDS, words(join([*first, *body])))
    main = tag("main", *first, contents, *body, meanings, footer(data), id="main")
    skip = tag("a", "Skip to the numbers", href="#main", class_="skip")
    whole = tag(
        "html", head(f"rote: {opening.title(data)}"), tag("body", skip, main, scripts()), lang="en"
    )
    return f"<!doctype html>\n{whole}\n"


def _section(name: str, title: str, body: Html) -> Html:
    """Return one section with its title."""
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, body, id=name, aria_labelledby=f"{name}-title")


def _contents(sections: list[tuple[str, str]]) -> Html:
    """Return the list of the sections, with links."""
    links = [tag("li", tag("a", title, href=f"#{name}")) for name, title in sections]
    return tag("nav", tag("ul", *links), aria_label="Sections")
