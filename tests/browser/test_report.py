"""The report and an explanation as people open them: in a browser, of a corpus that means harm."""

from __future__ import annotations

import re

import pytest

SCROLLS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
HACKED = "typeof window.hacked"
MOST_BYTES = 5_000_000


@pytest.mark.parametrize("name", ["report", "explain"])
def test_nothing_is_run_or_loaded(opened, pages, name) -> None:
    """No script of a text runs, no request leaves, no line is in the console, under 5 MB."""
    watched = opened(name, fresh=True)
    watched.drawn()
    watched.page.mouse.move(300, 300)
    assert watched.page.evaluate(HACKED) == "undefined"
    assert watched.requests == [pages[name].as_uri()]
    assert watched.complaints == []
    assert pages[name].stat().st_size < MOST_BYTES


def test_hostile_text_is_shown_as_text(opened) -> None:
    """Tags of an id, a source and a text are words on the page; bidi controls are written out."""
    watched = opened()
    watched.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    text = watched.page.inner_text("main")
    assert "<script>window.hacked = 1</script><img src=x onerror=" in text
    assert "<b onclick='window.hacked=1'>site</b>\u27e8U+202E\u27e9" in text
    assert "\u202e" not in watched.page.content()
    elements = watched.page.evaluate(
        "[...document.querySelectorAll('main script:not(.spec), main img, main b[onclick]')].length"
    )
    assert elements == 0


def test_a_policy_stands_behind_the_escapes(opened) -> None:
    """Even markup that was put into the page by force runs nothing."""
    watched = opened("explain", fresh=True)
    watched.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"hacked = 1\">');"
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
        "document.body.append(s);"
    )
    watched.page.wait_for_timeout(100)
    assert watched.page.evaluate(HACKED) == "undefined"
    assert any("Content Security Policy" in line for line in watched.complaints)


def test_every_chart_is_drawn_and_has_its_numbers(opened) -> None:
    """Charts have marks, a name that is read aloud, and a table that opens by keyboard."""
    watched = opened()
    assert watched.drawn() == watched.page.locator("figure.drawn").count() == 6
    for figure in watched.page.locator("figure.drawn").all():
        assert figure.locator(".vega svg path").count() > 3
        assert figure.locator(".vega").get_attribute("role") == "img"
        assert len(figure.locator(".vega").get_attribute("aria-label")) > 10
        assert figure.locator("details.numbers tbody tr").count() > 0
    summary = watched.page.locator("#audit details.numbers summary").first
    summary.focus()
    watched.page.keyboard.press("Enter")
    assert watched.page.locator("#audit details.numbers[open] table").first.is_visible()


def test_a_bar_tells_its_number(opened) -> None:
    """The mouse over a bar shows a tooltip with the group's name as text."""
    watched = opened()
    watched.drawn()
    bar = watched.page.locator("#chart-sources .mark-rect path").first
    bar.scroll_into_view_if_needed()
    bar.hover()
    tooltip = watched.page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "source group" in tooltip.inner_text()
    assert watched.page.evaluate(HACKED) == "undefined"


@pytest.mark.parametrize("key", ["click", "Enter", "Space"])
def test_tables_sort(opened, key) -> None:
    """A click or a key on a header sorts by its numbers, again the other way round."""
    watched = opened()
    table = watched.page.locator("#sources table[data-sort]").first
    button = table.locator("thead button", has_text="text")
    press = button.click if key == "click" else lambda: button.press(key)
    seen = []
    for order in ("descending", "ascending"):
        press()
        assert table.locator("th[aria-sort]").get_attribute("aria-sort") == order
        cells = table.locator("tbody tr td:nth-last-child(2)").all()
        seen.append([float(cell.get_attribute("data-v")) for cell in cells])
    assert len(seen[0]) == 5
    assert seen[0] == sorted(seen[0], reverse=True)
    assert seen[1] == sorted(seen[1])
    assert watched.page.locator("#sources thead button", has_text="source group").count() == 1


def test_the_first_screen_is_the_verdict(opened) -> None:
    """Before any scrolling: the answers in plain words; then the first thing to remove, and why."""
    watched = opened(width=900)
    box = watched.page.locator("#verdict").bounding_box()
    assert box["y"] + box["height"] < 900
    assert "What the filter takes. " in watched.page.locator("#verdict").inner_text()
    first = watched.page.locator("#first")
    assert (
        first.locator("p")
        .first.inner_text()
        .startswith(
            "First: exact copies in long: 1,250,000 words that say again what stays, in 1 row."
        )
    )
    assert "removed" in first.locator("tbody tr").first.inner_text()
    assert "in kept/, rule cut-spans" in first.inner_text()


def test_on_paper_six_pages_come_before_the_appendix(opened) -> None:
    """The verdict has the first page alone; what is filed is short, the rest stands after it."""
    page = opened(fresh=True).page  # parts of it are taken away
    whole = _pages(page.pdf(format="A4"))
    page.evaluate(REMOVED, ".appendix, .appendix ~ *")
    body = _pages(page.pdf(format="A4"))
    page.evaluate(REMOVED, "#first, #first ~ *")
    assert _pages(page.pdf(format="A4")) == 1
    assert 2 <= body <= 6
    assert whole > body


REMOVED = "(what) => document.querySelectorAll(what).forEach((part) => part.remove())"


def _pages(document: bytes) -> int:
    """Return the number of pages of a PDF of Chromium's."""
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", document))


def test_dark_mode_turns_page_and_charts(opened) -> None:
    """The page is dark where that is wanted, at once when it changes, with its charts."""
    watched = opened(scheme="dark")
    watched.drawn()
    colours = "[getComputedStyle(document.body).backgroundColor,"
    colours += " document.querySelector('#chart-sources .mark-text text').getAttribute('fill')]"
    dark = watched.page.evaluate(colours)
    assert dark[0] == "rgb(20, 23, 26)"
    watched.page.emulate_media(color_scheme="light")
    watched.until(
        "document.querySelector('#chart-sources .mark-text text')?"
        f".getAttribute('fill') !== '{dark[1]}'"
    )
    assert watched.page.evaluate(colours)[0] == "rgb(251, 251, 250)"


@pytest.mark.parametrize("name", ["report", "explain"])
@pytest.mark.parametrize("width", [360, 1600])
def test_no_page_scrolls_sideways(opened, name, width) -> None:
    """At 360 and 1600 pixels only boxes of tables scroll; the tab key reaches those."""
    watched = opened(name, width)
    watched.drawn()
    watched.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert not watched.page.evaluate(SCROLLS)
    boxes = "[...document.querySelectorAll('.scroll')].filter((b) => b.scrollWidth > b.clientWidth)"
    watched.page.set_viewport_size({"width": width + 1, "height": 900})
    watched.page.wait_for_timeout(50)
    assert watched.page.evaluate(f"{boxes}.every((b) => b.tabIndex === 0)")


def test_without_scripts_the_page_is_whole(chromium, pages) -> None:
    """Where scripts are off, every number is there: charts have their tables."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["report"].as_uri())
    assert page.locator("h1").inner_text() == "What this corpus would teach by rote"
    assert page.locator("figure.drawn details.numbers tbody tr").count() > 20
    context.close()


def test_a_word_leads_to_its_meaning_by_keyboard(opened) -> None:
    """The tab key reaches a word with a dotted line, Enter goes to its entry, which is in sight."""
    watched = opened(fresh=True)
    watched.drawn()
    page = watched.page
    focused = "document.activeElement.className"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == "term":
            break
    assert page.evaluate(focused) == "term"
    meaning = page.evaluate(
        "document.getElementById(document.activeElement.getAttribute('aria-describedby')).innerText"
    )
    anchor = page.evaluate("document.activeElement.hash")
    page.keyboard.press("Enter")
    watched.until(f"location.hash === '{anchor}'")
    assert page.evaluate("'#' + document.activeElement.id") == anchor
    entry = page.locator(":target")
    assert entry.locator("dd").inner_text() == meaning
    box = entry.bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] < 900
    assert watched.complaints == []


def test_words_are_plain_on_paper(opened) -> None:
    """Printed, a word that leads to its meaning looks like the words around it."""
    page = opened().page
    line = "getComputedStyle(document.querySelector('a.term')).textDecorationLine"
    assert page.evaluate(line) == "underline"
    page.emulate_media(media="print")
    assert page.evaluate(line) == "none"
    page.emulate_media(media="screen")


def test_an_explanation_marks_the_differences(opened) -> None:
    """The one word that differs is deleted in the row and inserted in its keeper."""
    page = opened("explain").page
    assert page.locator("h2").first.inner_text() == "REMOVED as a near copy (rule drop-copies)"
    assert page.locator("del").all_inner_texts() == ["other"]
    assert page.locator("ins").all_inner_texts() == ["word50"]
