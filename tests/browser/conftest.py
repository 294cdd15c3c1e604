"""A hostile corpus, really scanned, and the system's own Chromium to look at its report with."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.inspect.explain import explanations
from pipeline.inspect.explanation_page import explanation_page

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> "
    "</script><script>window.hacked = 1</script> <svg onload=window.hacked=1> "
    '" onmouseover="window.hacked = 1" \u202egnp.exe\u202c \u2066isolated\u2069 \u2028 {{7*7}} '
)
NAME = "<b onclick='window.hacked=1'>site</b>\u202e"
WORDS = " ".join(f"word{n}" for n in range(90))
LONG = "endless " * (10_000_000 // 8)
BACKTEST = {
    "note": "</script><script>window.hacked = 1</script>",
    "metrics": [
        {"score": "unseen", "metric": "average_precision", "value": 0.8, "low": 0.7, "high": 0.9}
    ],
    "curve": [
        {"score": score, "precision": 1 - recall / 10, "recall": recall / 10}
        for score in ("unseen", "<i>log count</i>")
        for recall in range(11)
    ],
    "reliability": [
        {"score": "unseen", "forecast": n / 5, "observed": n / 6, "low": 0.0, "high": 1.0}
        for n in range(6)
    ],
}


def _rows():
    """Yield exact copies, near copies and shared passages of hostile text, and two of 10 MB."""
    near = WORDS.replace("word50", "other")
    for place, text in enumerate((HOSTILE + WORDS, HOSTILE + WORDS, HOSTILE + near)):
        yield {"id": f"{HOSTILE}{place}", "text": text, "source": NAME}
    for place in range(60):
        shared = " ".join(f"shared{n}" for n in range(60))
        own = " ".join(f"own{place}x{n}" for n in range(40 * (place % 3 + 1)))
        yield {"id": f"doc{place}", "text": f"{shared} {own}", "source": f"source{place % 3}"}
    for place in range(2):
        yield {"id": f"long{place}", "text": LONG, "source": "long"}


@pytest.fixture(scope="session")
def finished(tmp_path_factory, make_corpus):
    """Return the run folder of the hostile corpus: scanned, filtered, reported on."""
    folder = tmp_path_factory.mktemp("browser")
    corpus = make_corpus(folder / "corpus", {"a.jsonl": list(_rows())})
    out = folder / "run"
    config = load_config(
        settings=["limits.workers=2", "input.id=id", "input.source=source", "input.text=text"]
    )
    with run.session(out, config, LocalMapper(2), corpus=[str(corpus)]) as session:
        run.scan(session)
        run.filter_rows(session)
        (out / "backtest").mkdir()
        (out / "backtest" / "backtest.json").write_text(json.dumps(BACKTEST))
        run.write_report(session)
    return out


@pytest.fixture(scope="session")
def pages(finished):
    """Return the pages to open: the report, and the explanation of a removed near copy."""
    explained = finished.parent / "explained.html"
    explained.write_text(explanation_page(explanations(finished, f"{HOSTILE}2")))
    return {"report": finished / "report" / "index.html", "explain": explained}


@pytest.fixture(scope="session")
def chromium():
    """Return the system's Chromium, started once; skip where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no Chromium here; Debian has it: apt-get install chromium")
    sync = pytest.importorskip("playwright.sync_api")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


class Watched:
    """An open page, what it wrote to its console, and what it asked of the network."""

    def __init__(self, browser, path: Path, width: int, scheme: str) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.context.route("**/*", self._route)
        self.page.goto(path.as_uri())

    def _route(self, route) -> None:
        if route.request.is_navigation_request() and route.request.url.startswith("file:"):
            route.continue_()
        else:
            route.abort()

    def drawn(self):
        """Wait until every chart is drawn; return how many."""
        self.until(
            "document.querySelectorAll('.vega.ready svg').length"
            " === document.querySelectorAll('.vega').length"
        )
        return self.page.locator(".vega svg").count()

    def until(self, expression: str) -> None:
        """Wait for something to be true; the page's policy forbids Playwright's own way."""
        for _ in range(100):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(expression)


@pytest.fixture(scope="session")
def opened(chromium, pages):
    """Give a function that opens a page, or gives the one that is open already unless `fresh`."""
    open_pages = {}
    all_pages = []

    def open_page(name="report", width=1600, scheme="light", *, fresh=False):
        key = (name, width, scheme)
        if fresh or key not in open_pages:
            watched = Watched(chromium, pages[name], width, scheme)
            all_pages.append(watched)
            if fresh:
                return watched
            open_pages[key] = watched
        return open_pages[key]

    yield open_page
    for watched in all_pages:
        watched.context.close()
