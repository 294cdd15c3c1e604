"""The words of the page lead to their meanings, and each word has one."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.html.glossary import TERMS
from pipeline.report.html.markup import join, text_of
from pipeline.report.html.terms import definitions, term, terms_of, used_by
from pipeline.report.page.page import page
from pipeline.report.report import report
from tests.report_runs import OUTLOOK, compared_with, make_run

GLOSSARY = Path(__file__).resolve().parents[3] / "docs" / "glossary.md"
MODEL = {
    "target": {"parameters": 9_000, "tokens": 180_000, "epochs": 1.0}
    | {"times_the_largest_proxy": 12.0, "extrapolated": True},
    "base_rate": {"sequences": 4, "rate": 0.5, "rate_of_families_95": [0.25, 0.75]},
    "floor": {"sequences": 4, "rate": 0.0, "rate_of_families_95": [0.0, 0.5]},
    "expected": {"all": {"sequences": 8, "expected_share": None, "expected_share_95": [0.1, 0.5]}},
    "outlook": OUTLOOK,
    "plants_memorized": 3,
    "memorized_by_count": [
        {"trained_on": True, "times": "1", "sequences": 4, "families": 2, "p0": 0.5}
    ],
    "held_out_unseen": {"validated_on": "families left out of the fit", "brier": 0.125},
    "calibration_unseen": [{"forecast": 0.5, "observed": 0.5, "sequences": 4}],
}
LAW = {"proxy": "p0", "at": 2, "share": 0.5, "low": 0.25, "high": 0.75} | {
    "sequences": 8,
    "families": 4,
}
BACKTEST: dict[str, Any] = {
    "metrics": [{"score": "seen", "metric": "brier_skill", "value": 0.5}],
    "facts": {},
} | {name: [] for name in ("curve", "reliability", "differences", "others", "caveats")}


class _Links(HTMLParser):
    """Collects the links to terms with where they stand, the entries, and all ids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.links: list[tuple[str, str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.misplaced: list[str] = []
        self.entries: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a" and found.get("class") == "term":
            self._link(found)
        if tag in {"dt", "dd"} and self._inside("term-"):
            self.entries.setdefault(self._inside("term-"), []).append("")
        if tag != "meta":
            self.open.append((tag, found))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        anchor = self._inside("term-")
        if anchor and self.entries.get(anchor):
            self.entries[anchor][-1] += data

    def _inside(self, prefix: str) -> str:
        ids = (str(found.get("id") or "") for _, found in self.open)
        return next((name for name in ids if name.startswith(prefix)), "")

    def _link(self, found: dict[str, str | None]) -> None:
        sections = [str(kept.get("id")) for name, kept in self.open if name == "section"]
        href = str(found["href"]).removeprefix("#")
        self.links.append((sections[-1] if sections else "", href, found))
        names = [name for name, _ in self.open]
        sorts = any("data-sort" in kept for _, kept in self.open)
        if {"summary", "a"} & set(names) or ("thead" in names and sorts):
            self.misplaced.append(href)


def _parsed(text: str) -> _Links:
    found = _Links()
    found.feed(text)
    return found


@pytest.fixture(scope="module", params=["scanned", "scored", "all"])
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> _Links:
    """Return the page of a run without a forecast, with one, and with all that a page can have."""
    folder = tmp_path_factory.mktemp("terms")
    work = make_run(folder, scored=request.param != "scanned")
    report(work)
    data = json.loads((work.folder / "report" / "report.json").read_text())
    if request.param == "all":
        other = folder / "other"
        other.mkdir()
        report(compared_with(work, make_run(other, scored=True).folder))
        data = json.loads((work.folder / "report" / "report.json").read_text())
        data["risk"]["model"] = MODEL
        data["risk"]["proxies"] = {"plants": {"clusters_inside": 5, "clusters_outside": 5}}
        data["risk"]["laws"] = [LAW | {"law": law} for law in ("dose", "size", "context")]
        data["backtest"] = BACKTEST
        data["removed"]["rules"] = [{"rule": "drop-copies", "rows": 2}]
        assert data["changes"]
    return _parsed(page(data))


def test_every_term_is_defined_once() -> None:
    """No word stands for two terms, and no two entries have one anchor."""
    words = [word.lower() for one in TERMS for word in (one.name, *one.also)]
    assert sorted(set(words)) == sorted(words)
    assert len({one.anchor for one in TERMS}) == len(TERMS)
    assert all(re.fullmatch(r"term-[a-z0-9_-]+", one.anchor) for one in TERMS)


@pytest.mark.parametrize("one", TERMS, ids=lambda one: one.name)
def test_a_definition_is_whole_sentences(one) -> None:
    """It begins with a capital or a number, ends in a period, and is one line of words."""
    assert re.match("[A-Z0-9]", one.definition)
    assert one.definition.endswith(".")
    assert one.definition == " ".join(one.definition.split())
    assert one.definition.count("`") % 2 == 0
    assert len(re.findall(r"\.(?= [A-Z]|$)", one.definition)) <= 3


def test_every_link_leads_to_an_entry(shown: _Links) -> None:
    """The anchor and the description of each link are on the page, and no id is there twice."""
    assert len(shown.links) > 20
    assert len(set(shown.ids)) == len(shown.ids)
    for _, anchor, attributes in shown.links:
        assert anchor in shown.entries
        assert attributes["aria-describedby"] in shown.ids
        assert attributes["title"] == shown.entries[anchor][1]


def test_a_section_links_a_term_once(shown: _Links) -> None:
    """No term is linked twice in one section, so a page is not full of dotted lines."""
    places = [(section, anchor) for section, anchor, _ in shown.links]
    assert sorted(set(places)) == sorted(places)


def test_no_link_is_inside_another_control(shown: _Links) -> None:
    """Heads of tables that sort become buttons and summaries open: no link stands in them."""
    assert shown.misplaced == []


def test_the_page_has_the_sentences_of_the_glossary(shown: _Links) -> None:
    """Each entry is one of docs/glossary.md, word for word, in its order."""
    text = GLOSSARY.read_text(encoding="utf-8").replace("`", "")
    places = [text.index(f"\n### {title}\n\n{rest}\n") for title, rest in shown.entries.values()]
    assert places == sorted(places)


def test_words_of_a_definition_are_defined_on_the_page(shown: _Links) -> None:
    """A reader who is sent to an entry finds the terms in it on the same page."""
    for one in TERMS:
        if one.anchor in shown.entries:
            assert {other.anchor for other in used_by(one)} <= shown.entries.keys()


def test_a_page_lists_what_it_links_and_no_more() -> None:
    """A link to `near copy` brings Jaccard, shingle, word, document, shard and corpus along."""
    names = [one.name for one in terms_of(term("near copy", "near copies"))]
    assert names == ["corpus", "shard", "document", "word", "shingle", "near copy", "Jaccard"]
    assert terms_of('&lt;a class="term" href="#term-family"') == []


def test_a_term_is_found_in_the_plural() -> None:
    """Families are a family's, and `near.threshold` is no word of a text."""
    family = next(one for one in TERMS if one.name == "family")
    assert family in used_by(next(one for one in TERMS if one.name == "held out"))
    assert [one.name for one in used_by(family)] == ["document", "Jaccard", "window"]


def test_an_entry_is_named_and_described() -> None:
    """The entry has the anchor, takes the focus, and sets names of settings as code."""
    (entry,) = [one for one in TERMS if one.name == "policy"]
    assert definitions([entry]) == (
        '<dl class="terms"><div id="term-policy" tabindex="-1"><dt>policy</dt>'
        '<dd id="meaning-policy">The rules and thresholds that say which rows go and which '
        "passages are cut: the settings <code>policy.*</code>.</dd></div></dl>"
    )


def test_a_link_shows_its_meaning() -> None:
    """The tooltip is the definition without marks, and the link says the form that is asked for."""
    link = term("cluster", "clusters")
    assert link.startswith('<a class="term" href="#term-cluster" title="All documents that exact ')
    assert link.endswith('aria-describedby="meaning-cluster">clusters</a>')


def test_markup_is_read_as_text() -> None:
    """Labels that are read aloud have the words of a caption, not its tags."""
    assert text_of(join(["a < b, ", term("family", "families")])) == "a < b, families"
    assert text_of("<b>") == "<b>"
