"""The forecast in words: the outlook, the plants, a band without a share, no forecast at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.manifest import load_manifest, manifest_bytes
from pipeline.engine.stage import Work
from pipeline.report.data.headline import headline, no_forecast, short, times
from pipeline.report.html.markup import Html, text_of
from pipeline.report.page.outlook import outlook, plants
from pipeline.report.report import report
from tests.report_runs import OUTLOOK, make_run

Row = dict[str, Any]
MODELS: Any = OUTLOOK["models"]
EXPECTED = {
    "all": {"sequences": 8, "expected_share": 0.02, "expected_share_95": [0.00034, 0.11]},
}
RATES = {
    "base_rate": {
        "sequences": 40,
        "memorized": 9,
        "rate": 0.225,
        "rate_weighted": 0.2,
        "families": 10,
        "families_memorized": 2,
        "rate_of_families_95": [0.057, 0.51],
    },
}
PLANTS = {
    "clusters_inside": 119,
    "clusters_outside": 118,
    "doses": [1, 2, 256],
    "share_of_training": 0.2217,
}


def facts_of(*, extrapolated: bool, parameters: int = 7_000_000_000) -> Row:
    """Return facts of the stage `risk` for a target within ten times the proxies, or beyond."""
    target: Row = {"parameters": parameters, "epochs": 1.0, "tokens": 160_000_000_000}
    target |= {"half_dose": 65.0, "half_dose_95": [16.25, 325.0]}
    return {
        "fitted": True,
        "why_not": None,
        "target": target | {"extrapolated": extrapolated, "assumption": "as configured"},
        "expected": EXPECTED,
        "outlook": OUTLOOK,
        "plants_memorized": 31,
        **RATES,
    }


def _reported(folder: Path, facts: Row, sequences: Row | None = None) -> dict[str, str]:
    """Return the files of the report of a run with these facts of its forecast."""
    work = make_run(folder, scored=True)
    with_facts(work, facts, sequences)
    report(work)
    return {path.name: path.read_text() for path in (work.folder / "report").iterdir()}


def with_facts(work: Work, facts: Row, sequences: Row | None = None) -> None:
    """Write facts of the forecast into the manifest of a run."""
    manifest = load_manifest(work.folder)
    of_risk = manifest["outputs"]["risk/all"]
    of_sequences = of_risk | {"facts": sequences or {"plants": PLANTS}, "files": []}
    manifest["outputs"] |= {"sequences/all": of_sequences, "risk/all": of_risk | {"facts": facts}}
    (work.folder / "manifest.json").write_bytes(manifest_bytes(manifest))


def test_the_outlook_is_one_table_of_bands() -> None:
    """Rows are occurrences, columns models; the half dose is last; then what it assumes."""
    page = outlook(OUTLOOK)
    assert page.count("<table") == 1
    told = text_of(page)
    for cell in (
        "100M parameters, 2B tokens8B parameters, 160B tokens",
        "15,000under 1under 1",
        "2 to 340012 to 34012 to 340",
        "half is recited at120 [30, 600]65 [16, 325]",
        "sees this corpus once, within a training of 20 tokens for each of its parameters",
        "nearly the same for any two of the models (rank correlation at least 0.97)",
    ):
        assert cell in told, cell
    assert outlook(None) == outlook({}) == ""
    assert "its training is longer" not in told


def test_half_doses_that_grow_with_the_model_are_explained() -> None:
    """More tokens beside the corpus, and each occurrence counts for less."""
    found: Row = OUTLOOK | {
        "models": [model | {"half_dose": model["parameters_in_all"]} for model in MODELS]
    }
    told = text_of(outlook(found))
    assert "because its training is longer: this corpus is a smaller part of it" in told


def test_orders_that_differ_are_said_to() -> None:
    """What to remove first then depends on the model."""
    told = text_of(outlook(OUTLOOK | {"order_agrees": 0.5}))
    assert "not the same for any two of the models (rank correlation at least 0.50)" in told
    same = text_of(outlook(OUTLOOK | {"order_agrees": 1.0}))
    assert "nearly the same for any two of the models (rank correlation 1.00)" in same
    assert "what to remove first depends on the model" in told


def test_plants_are_told_in_a_paragraph() -> None:
    """How many, at which doses, how much of the training, how many were memorized."""
    told = text_of(plants({"plants_memorized": 31}, {"plants": PLANTS}))
    assert "119 passages, or groups of edited ones, 1 to 256 times each, 22.2% of all" in told
    assert "118 more were left out by a draw" in told
    assert "Of these 119 the largest proxy memorized 31." in told
    assert plants({}, {}) == plants({}, {"plants": PLANTS | {"clusters_inside": 0}}) == ""


def test_a_target_near_the_proxies_has_a_share_with_its_interval() -> None:
    """The sentence has size, tokens, share and interval."""
    said = headline({"parameters": 7_000_000_000}, facts_of(extrapolated=False))
    assert said == (
        "a model of 7B parameters without embeddings and 160B tokens recites 2% (0.034% to 11%) "
        "of the sequences, half of those that occur 65 [16, 325] times"
    )


def test_a_target_far_beyond_them_has_a_band_only() -> None:
    """No single share, but the number of occurrences at which half is recited."""
    facts = facts_of(extrapolated=True)
    said = headline({"total_parameters": 8_000_000_000, "parameters": 0}, facts)
    assert said == (
        "a model of 8B parameters and 160B tokens recites 0.034% to 11% of the sequences, half of "
        "those that occur 65 [16, 325] times; over ten times the proxies: order and band only"
    )
    assert headline({}, {"fitted": False, "target": facts["target"]}) == ""


def test_an_order_shows_no_amount_that_rests_on_risks(tmp_path: Path) -> None:
    """Page and summary have the band, and no share, no kind, no expected tokens."""
    written = _reported(tmp_path, facts_of(extrapolated=True))
    for name in ("index.html", "summary.md"):
        text = written[name]
        assert "recites 0.034% to 11% of the sequences" in text
        assert "2% (0.034%" not in text
        assert "risk 0.5 or above" not in text
    page, summary = text_of_page(written["index.html"]), written["summary.md"]
    assert "kind" not in _cells(page)
    assert "place" in _cells(page)
    assert "expected tokens" not in summary
    assert "How risk spreads" not in page
    assert "order and band only" in page


def test_a_near_target_shows_amounts(tmp_path: Path) -> None:
    """What an order hides is there for a target within ten times the proxies."""
    written = _reported(tmp_path, facts_of(extrapolated=False))
    page = text_of_page(written["index.html"])
    assert {"kind", "risk 0.5 or above", "expected tokens"} <= {*_cells(page)}
    assert "place" not in _cells(page)
    assert "How risk spreads" in page
    assert (
        "| corpus | documents | scored | risk 0.5 or above | expected tokens |"
        in written["summary.md"]
    )


@pytest.mark.parametrize(
    ("scorings", "since"),
    [(1, "trained 1 scoring ago"), (3, "trained 3 scorings ago")],
)
def test_proxies_of_an_earlier_corpus_are_told(tmp_path: Path, scorings: int, since: str) -> None:
    """On the page and in the summary, with what has changed of their sample since."""
    kept = {"kept": {"scorings": scorings, "share_changed": 0.0213}}
    files = _reported(tmp_path, facts_of(extrapolated=False) | kept)
    for name in ("index.html", "summary.md"):
        told = files[name].replace("\\", "")
        assert since in told
        assert "2.1% of their sample" in told


def test_rates_stand_beside_intervals_of_their_unit(tmp_path: Path) -> None:
    """In the summary families of families with their interval, never a rate of sequences."""
    written = _reported(tmp_path, facts_of(extrapolated=False))
    assert (
        "The largest of them recited text of 2 of 10 families that it was trained on, 20% "
        r"\[5.7%, 51%\]." in written["summary.md"]
    )
    assert "22%" not in written["summary.md"]
    cells = _cells(text_of_page(written["index.html"]))
    place = cells.index("trained on (base rate)")
    row = [cell for cell in cells[place + 1 :] if cell][:8]
    assert row == ["40", "9", "22%", "20%", "10", "2", "20%", "5.7% to 51%"]


@pytest.mark.parametrize(
    ("facts", "sequences", "help_"),
    [
        ({"memorized": [{"proxy": "p0"}]}, {"proxies": [{"proxy": "p0"}]}, "proxy.sample_tokens"),
        ({}, {"proxies": []}, "documents of at least 64 tokens"),
        ({}, {"proxies": [{"proxy": "p0", "source": "some/model"}]}, "without proxy.models"),
        ({}, {"proxies": [{"proxy": "m", "source": "a", "role": "ladder"}]}, "later checkpoints"),
    ],
)
def test_no_forecast_is_said_first_with_what_would_help(
    tmp_path: Path, facts: Row, sequences: Row, help_: str
) -> None:
    """At the top of the section on risk, in the summary, and as an alarm of report.json."""
    facts = {"fitted": False, "why_not": "of a reason"} | facts
    said = no_forecast(facts, sequences)
    assert said.startswith("There is no forecast: of a reason. What would help: ")
    assert help_ in said
    written = _reported(tmp_path, facts, sequences)
    section = written["index.html"].split('<h2 id="risk-title">')[1]
    assert section.split("</h2>")[1].startswith(f'<p class="lead">{said}</p>')
    assert "There is no forecast: of a reason." in written["summary.md"].split("## Forecast")[1]
    assert json.loads(written["report.json"])["alarms"][0]["sentence"] == said


def test_numbers_are_short() -> None:
    """Sizes as people say them; estimates of times without false digits."""
    assert [short(n) for n in (15e12, 350e6, 1.5e9, 2_048, 7)] == [
        "15T",
        "350M",
        "1.5B",
        "2.05k",
        "7",
    ]
    assert [times(n) for n in (0.4, 9.9, 1234.0, 5e7)] == ["under 1", "10", "1,234", "over 1M"]


def _cells(page: str) -> list[str]:
    return [cell.strip() for cell in page.split("|")]


def text_of_page(page: str) -> str:
    """Return what a reader of a page reads, its cells parted by bars."""
    body = page.split("<main")[1].split("</main>")[0]
    for end in ("</td>", "</th>", "</caption>"):
        body = body.replace(end, f"|{end}")
    return text_of(Html(body))
