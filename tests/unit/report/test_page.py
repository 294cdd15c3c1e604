from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engine.manifest import load_manifest, manifest_bytes
from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.errors import ConfigError, IntegrityError
from pipeline.inspect.explain import explain
from pipeline.report.data.alarms import sources_params
from pipeline.report.html.assets import asset
from pipeline.report.html.markup import Html, embedded, percent, size, table, tag
from pipeline.report.page.opening import sentences
from pipeline.report.report import report
from pipeline.report.summary import plain
from schemas.filter.decisions import DECISIONS
from tests.report_runs import CONFIG, LEFT, compared_with, make_run, recorded


class _Tags(HTMLParser):
    """Collects every element and attribute, as a browser's parser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.scripts: list[list[tuple[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag == "script":
            self.scripts.append(attrs)
        self.attributes.extend(attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.extend(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _own(page: str) -> str:
    """Return a page without the files of the package: what the corpus can have a part in."""
    for name in ("style.css", "page.js", "vega/vega.js", "vega/LICENSES.txt"):
        page = page.replace(asset(name), "")
    return page


def _written(work: Work) -> tuple[str, dict]:  # type: ignore[type-arg]
    folder = work.folder / "report"
    return (folder / "index.html").read_text(), json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize("scored", [False, True])
def test_hostile_text_never_becomes_markup(tmp_path: Path, scored: bool) -> None:
    """Tags, quotes, bidi, NUL and escapes in a text, a source and a fact come out as words."""
    work = make_run(tmp_path, scored=scored)
    report(work)
    page, _ = _written(work)
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert not {"i", "img", "iframe", "link", "form", "object"} & set(tags.names)
    own = [dict(attributes) for attributes in tags.scripts]
    charts = {"type": "application/json", "class": "spec"}
    assert own == [*([charts] * (len(own) - 2)), {}, {}]
    assert not [
        name for name, _ in tags.attributes if name.startswith("on") or name in {"src", "style"}
    ]
    assert all(value and value.startswith("#") for name, value in tags.attributes if name == "href")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", _own(page))
    assert "root@example.org" not in page
    assert "AKIAIOSFODNN7EXAMPLE" not in page
    assert "&lt;b&gt;site&lt;/b&gt;" in page
    assert ("&lt;script&gt;alert(" in page) == scored


def test_a_hostile_quote_is_shown_with_its_secrets_masked(tmp_path: Path) -> None:
    """The riskiest document is quoted with markup escaped and invisible characters written out."""
    work = make_run(tmp_path, scored=True)
    report(work)
    page, data = _written(work)
    top = data["risk"]["top"][0]
    assert top["document"]["doc_id"] == "hostile"
    assert top["quote"] == "<script>alert('x')</script> \" onmouseove"
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &quot; onmouseove" in page


def test_the_policy_allows_only_the_files_of_the_package(tmp_path: Path) -> None:
    """The Content-Security-Policy names one style sheet and two scripts, by their hashes."""
    work = make_run(tmp_path)
    report(work)
    page, _ = _written(work)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    hashes = {
        name: base64.b64encode(hashlib.sha256(asset(name).encode()).digest()).decode()
        for name in ("style.css", "page.js", "vega/vega.js")
    }
    assert html.unescape(policy[1]) == (
        f"default-src 'none'; script-src 'sha256-{hashes['vega/vega.js']}' "
        f"'sha256-{hashes['page.js']}'; style-src 'sha256-{hashes['style.css']}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in asset("style.css")
    assert "@import" not in asset("style.css")
    assert page.count(f"<script>{asset('vega/vega.js')}</script>") == 1


def test_the_funnel_adds_up(tmp_path: Path) -> None:
    """Seven rows: one rejected, one exact and one near copy removed, four kept."""
    work = make_run(tmp_path)
    receipt = report(work)
    assert receipt.facts["summary"] == {
        "read": 7,
        "rejected": 1,
        "exact_copy": 1,
        "near_copy": 1,
        "risk": 0,
        "kept": 4,
        "documents": 6,
        "text_bytes": 3168,
        "words": 197,
        "repeated_words": 120,
    }
    _, data = _written(work)
    assert [(step["step"], step["rows"]) for step in data["funnel"]] == [
        ("read", 7),
        ("rejected", 1),
        ("exact_copy", 1),
        ("near_copy", 1),
        ("risk", 0),
        ("kept", 4),
    ]
    assert data["rejected"] == [{"reason": "null_text", "rows": 1}]


def test_rows_that_do_not_add_up_stop_the_report(tmp_path: Path) -> None:
    """A manifest that claims one row more than the tables hold is refused, not shown."""
    work = make_run(tmp_path)
    manifest = load_manifest(work.folder)
    manifest["corpus"]["shards"][0]["documents"] += 1
    (work.folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    with pytest.raises(IntegrityError, match="do not add up"):
        report(work)


def test_the_json_holds_the_tables_of_the_page(tmp_path: Path) -> None:
    """Clusters, passages, counts and pairs have literal numbers, and row keys are strings."""
    work = make_run(tmp_path)
    report(work)
    _, data = _written(work)
    cluster = data["clusters"][0]
    assert (cluster["members"], cluster["kept"], cluster["distinct_texts"]) == (3, 1, 2)
    assert cluster["document"]["row_key"] == "0"
    assert cluster["document"]["doc_id"] == "long"
    assert cluster["sources"] == [{"source_group": "site", "members": 3}]
    assert [
        (row["occurrences"], row["documents"], row["words"]) for row in data["spans"]["top"]
    ] == [(2, 2, 60)]
    assert data["spans"]["windows"] == {
        "repeated_windows": 11,
        "occurrences": 22,
        "largest": 2,
        "across_documents": 11,
    }
    assert [(row["from"], row["to"], row["documents"]) for row in data["copies"]["near_count"]] == [
        (1, 1, 3),
        (3, 4, 3),
    ]
    assert (data["pairs"]["pairs"], data["pairs"]["near"]) == (1, 1)
    assert data["notes"][0]["numbers"] == {"ids": 1, "documents": 2}
    assert data["risk"] is None


def test_small_groups_are_added_up_and_alarming_ones_never_hidden() -> None:
    """Of four groups one is told for its size, one for its losses; the others make one row."""
    groups = [("large", 120, 3), ("lost", 50, 26), ("small", 49, 40), ("smaller", 2, 0)]
    keys = [(name, at < removed) for name, rows, removed in groups for at in range(rows)]
    documents = pa.table(
        {
            "row_key": pa.array(range(len(keys)), pa.uint64()),
            "source_group": [name for name, _ in keys],
            "text_bytes": [10] * len(keys),
            "words": [2] * len(keys),
            "repeated_words": [1] * len(keys),
        }
    )
    reasons = ["near_copy" if gone else None for _, gone in keys]
    for name, _, removed in groups:
        if removed:
            reasons[keys.index((name, True))] = "contained"
    decisions = pa.table(
        {
            "row_key": documents["row_key"],
            "action": ["drop" if gone else "keep" for _, gone in keys],
            "reason": reasons,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        inputs = {}
        for name, rows in (("documents", documents), ("decisions", decisions)):
            inputs[name] = [Path(folder) / f"{name}.parquet"]
            pq.write_table(rows, inputs[name][0])
        found = query("report/sources", inputs, sources_params(1)).to_pylist()
    contained = [(row["near_copies"], row["contained"], row["other"]) for row in found]
    assert contained == [(2, 1, 0), (25, 1, 0), (39, 1, 0)]
    told = [(row["source_group"], row["groups"], row["documents"], row["removed"]) for row in found]
    assert told == [("large", 1, 120, 3), ("lost", 1, 50, 26), (None, 2, 51, 40)]
    assert [row["removed_bytes"] for row in found] == [30, 260, 400]


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    """Two folders of the same run give equal files, and no folder name is in them."""
    pages = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        work = make_run(tmp_path / name, scored=True)
        receipt = report(work)
        pages.append([(record.path, record.digest) for record in receipt.files])
        assert str(tmp_path) not in "".join(
            path.read_text() for path in (work.folder / "report").iterdir()
        )
    assert pages[0] == pages[1]


def test_a_run_that_was_not_filtered_is_refused(tmp_path: Path) -> None:
    """Without decisions there is no funnel; the message names the command."""
    with pytest.raises(ConfigError, match="rote filter"):
        report(make_run(tmp_path, decided=False))


def test_the_page_says_that_nothing_was_scored(tmp_path: Path) -> None:
    """A run without a forecast says so and names the command."""
    work = make_run(tmp_path)
    report(work)
    assert "risk: not scored" in _written(work)[0]
    assert CONFIG.near.threshold == 0.8


def test_children_are_escaped_unless_they_are_markup() -> None:
    """Only what `tag` made passes through as it is."""
    assert tag("p", "<a>", tag("em", "x & y")) == "<p>&lt;a&gt;<em>x &amp; y</em></p>"
    assert tag("td", "x", class_='"n"') == '<td class="&quot;n&quot;">x</td>'
    assert isinstance(tag("p"), Html)


def test_a_table_has_a_caption_and_headers() -> None:
    """Readers of a screen hear what a table is about, and which header a number belongs to."""
    shown = table("Two.", ("name", "rows"), [("a", "1")])
    assert (
        '<caption>Two.</caption><thead><tr><th scope="col">name</th>'
        '<th scope="col" class="n">rows</th>' in shown
    )
    assert '<tbody><tr><th scope="row">a</th><td class="n">1</td></tr></tbody>' in shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 10, "0.0%"),
        (1, 10, "10.0%"),
        (1, 100_000, "<0.1%"),
        (99_999, 100_000, ">99.9%"),
        (5, 5, "100.0%"),
        (1, 0, "\N{EN DASH}"),
    ],
)
def test_shares_never_round_to_nothing_or_all(part: int, whole: int, shown: str) -> None:
    """0.0% means none and 100.0% means all."""
    assert percent(part, whole) == shown


def test_sizes_have_units() -> None:
    """Bytes are shown in decimal units."""
    assert [size(n) for n in (0, 999, 1000, 93_400_000, 2_500_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "93.4 MB",
        "2.5 GB",
    ]


def test_embedded_data_cannot_end_its_element() -> None:
    """JSON in the page holds no sign that a parser of HTML takes notice of, and reads back."""
    data = {"text": "</script><script>x</script><!-- & \u2028 \u202e"}
    element = embedded(data, "spec")
    inside = element.removeprefix('<script type="application/json" class="spec">')
    inside = inside.removesuffix("</script>")
    assert not re.search("[<>&\u0080-\uffff]", inside)
    assert json.loads(inside) == data


def test_excerpts_can_be_switched_off(tmp_path: Path) -> None:
    """With report.excerpts off no word of a text is in any file; names and numbers stay."""
    plain = make_run(tmp_path, scored=True)
    report(plain)
    files = [plain.folder / "report" / name for name in ("index.html", "report.json", "summary.md")]
    assert "word7" in _own(files[0].read_text())
    work = compared_with(plain, Path(), against="", excerpts=False)
    report(work)
    for path in files:
        assert not re.search("word[0-9]|alert", _own(path.read_text()))
    assert "hostile" in files[0].read_text()


def test_the_summary_holds_no_text_and_no_markup(tmp_path: Path) -> None:
    """summary.md has the numbers; names are escaped, and no word of a document is in it."""
    work = make_run(tmp_path, scored=True)
    report(work)
    text = (work.folder / "report" / "summary.md").read_text()
    assert not re.search("word[0-9]|alert|<", text)
    assert "texts likely to be memorized in &lt;b&gt;site&lt;/b&gt;" in text
    assert "| exact copies removed | 1 | 14.3% |" in text
    assert "First: exact copies in site: 60 words that say again what stays, in 1 row." in text


def test_what_to_remove_first_is_ranked_by_repeated_words(tmp_path: Path) -> None:
    """The exact and the near copy are first, as removed; then what the forecast calls risky."""
    work = make_run(tmp_path, scored=True)
    report(work)
    data = _written(work)[1]
    rows = [
        (row["kind"], row["source_group"], row["done"], row["documents"], row["words"])
        for row in data["first"]
    ]
    assert rows == [
        ("exact", "site", True, 1, 60),
        ("near", "site", True, 1, 60),
        ("risk", "<b>site</b>", False, 1, None),
    ]
    assert data["first"][2]["expected_tokens"] == 24


def test_what_removal_costs_is_what_the_keeper_lacks(tmp_path: Path) -> None:
    """An exact copy loses nothing; of the near one 5 of 56 shingles are nowhere else."""
    work = make_run(tmp_path, scored=True)
    report(work)
    removed = _written(work)[1]["removed"]
    assert [(row["reason"], row["words"], row["lost_words"]) for row in removed["by_reason"]] == [
        ("exact_copy", 60, 0),
        ("near_copy", 60, 5),
    ]
    assert removed["left"] == LEFT


def test_names_in_markdown_are_only_names() -> None:
    """Neither Markdown nor HTML nor a mention is left in a name from the corpus."""
    assert plain("a|b *c* <i> @team #7 [x](y)") == (r"a\|b \*c\* &lt;i&gt; &#64;team \#7 \[x\](y)")


def _forget(work: Work, row_key: int) -> None:
    """Decide that a row goes for good."""
    path = work.paths("decisions")[0]
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        if row["row_key"] == row_key:
            row |= {"action": "drop", "rule": "forget", "reason": "forgotten"}
    pq.write_table(pa.Table.from_pylist(rows, schema=DECISIONS), path)
    recorded(work, "decisions")


def test_what_is_to_be_forgotten_is_not_quoted(tmp_path: Path) -> None:
    """No file of the report and no explanation holds a text that was taken out for good."""
    work = make_run(tmp_path, scored=True)
    report(work)
    assert "alert" in _own(_written(work)[0])
    assert "alert" in explain(work.folder, "hostile")
    _forget(work, 1)
    report(work)
    for name in ("index.html", "report.json", "summary.md"):
        assert "alert" not in _own((work.folder / "report" / name).read_text())
    assert "alert" not in explain(work.folder, "hostile")
    assert "REMOVED as one to be forgotten" in explain(work.folder, "hostile")


def test_what_the_decisions_say_of_rules_is_shown(tmp_path: Path) -> None:
    """Each rule of the facts of the decisions is a row, whatever its columns are called."""
    work = make_run(tmp_path)
    manifest = load_manifest(work.folder)
    rules = [{"rule": "drop-copies", "rows": 2, "bytes": 9, "expected_tokens_avoided": 7.5}]
    manifest["outputs"]["decisions/all"]["facts"]["rules"] = rules
    (work.folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    report(work)
    page, data = _written(work)
    assert data["removed"]["rules"] == rules
    assert "expected tokens avoided" in page


def test_a_rule_that_left_rows_is_not_advised_again() -> None:
    """What a rule of this run has left is said to be left by it; else the rule is named."""
    row = {"kind": "passage", "source_group": "s", "done": False, "documents": 1, "words": 9}
    row["expected_tokens"] = None
    for rules, told in (
        (["drop-copies"], "The rule cut-spans takes them."),
        (["drop-copies", "cut-spans"], "The rule cut-spans left them: exempt,"),
    ):
        data = {"first": [row], "config": {"policy": {"rules": rules}}}
        assert sentences(data)[0].startswith(
            "First: repeated passages in rows that stay in s: 9 words that say again what stays, "
            f"in 1 row. {told}"
        )
