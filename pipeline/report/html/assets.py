"""The files that a page is made of: our style and script, and the library that draws the charts."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from pipeline.report.html.markup import Html, script, style, tag

SHEET = "style.css"
LIBRARY, CODE, LICENCES = "vega/vega.js", "page.js", "vega/LICENSES.txt"


@cache
def asset(name: str) -> str:
    """Return the text of a file of this package."""
    return files("pipeline.report.html").joinpath(name).read_text(encoding="utf-8")


def licences() -> str:
    """Return the licences of the code in the library."""
    return asset(LICENCES)


def head(title: str, *, charts: bool = True) -> Html:
    """Return the head of a page.

    Its policy forbids every load, and every script and style but those of this package, by hash:
    whatever the text of a corpus holds, a browser runs none of it.

    Args:
        title: of the page.
        charts: whether the page has the library that draws them.
    """
    allowed = " ".join(_hash(asset(name)) for name in _scripts(charts=charts))
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(asset(SHEET))}; "
        "base-uri 'none'; form-action 'none'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        style(asset(SHEET)),
    )


def scripts(*, charts: bool = True) -> Html:
    """Return the scripts of a page, which go to its end."""
    return Html("".join(script(asset(name)) for name in _scripts(charts=charts)))


def _scripts(*, charts: bool) -> list[str]:
    """Return the names of the scripts of a page."""
    return [LIBRARY, CODE] if charts else [CODE]


def _hash(text: str) -> str:
    """Return the hash of a script or style, as a content policy writes it."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
