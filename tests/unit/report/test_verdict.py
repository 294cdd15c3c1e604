"""The verdict on the first page: plain answers, who filed what, one number before and after."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import pytest

from flows.artifacts import counts_page
from pipeline.config.report import ReportConfig
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row
from pipeline.report.data.alarms import judge
from pipeline.report.page.page import page
from pipeline.report.page.risk import interval, risk_figure
from pipeline.report.page.verdict import before_and_after, sentences
from pipeline.report.report import report
from pipeline.report.summary import summary
from tests.report_runs import CONFIG, LEFT, make_run


def written(work: Work) -> Row:
    """Return report.json of a run."""
    report(work)
    data: Row = json.loads((work.folder / "report" / "report.json").read_text())
    return data


def with_report(work: Work, **settings: object) -> Work:
    """Return the work with other settings of the report."""
    own = CONFIG.report.model_copy(update=settings)
    return dataclasses.replace(work, config=work.config.model_copy(update={"report": own}))


def test_each_question_has_one_answer(tmp_path: Path) -> None:
    """Page and summary begin with the same answers; what is not covered is always said."""
    data = written(make_run(tmp_path, scored=True))
    told = dict(sentences(data))
    assert list(told) == [
        "Likely to be recited", "How sure", "What the filter takes", "Personal data", "Limits",
    ]  # fmt: skip
    assert told["What the filter takes"] == (
        "2 of 6 documents; 4 are kept. Documents at risk 0.5 or above: 3 before the filter, 1 "
        "after it, at the doses that it leaves (scored 2 of 4 documents that stay, 4 of 6 before)."
    )
    assert "no privacy guarantee" in told["Limits"]
    note = {"level": "note", "kind": "skipped_file", "sentence": "b.csv"}
    without = dict(sentences({**data, "notes": [note]}))["What the filter takes"]
    assert "4 are kept. Files that could not be read and count nowhere: 1. Documents" in without
    whole, short = page(data), summary(data)
    assert whole.index('id="verdict"') < whole.index('class="tiles"') < whole.index('id="first"')
    for text in told.values():
        assert text in whole
    assert short.index("## In short") < short.index("## What to remove first")


@pytest.mark.parametrize(("cut", "told"), [("later", "cut"), ("mask", "marked to be masked")])
def test_rows_that_stay_with_another_text_are_counted(tmp_path: Path, cut: str, told: str) -> None:
    """The first page says in how many of the kept rows which rule changed the text."""
    data = written(make_run(tmp_path))
    data["config"]["policy"]["cut"] = cut
    data["removed"]["rules"] = [
        {"rule": "drop-copies", "rows": 2, "bytes": 9},
        {"rule": "cut-spans", "rows": 0, "bytes": 0, "cut_rows": 3, "cut_bytes": 7},
        {"rule": "mask-personal", "rows": 0, "bytes": 0, "cut_rows": 1, "cut_bytes": 5},
    ]
    assert dict(sentences(data))["What the filter takes"] == (
        f"2 of 6 documents; 4 are kept, 3 of them with repeated passages {told}, 1 of them with "
        "personal data masked."
    )
    assert "rows kept with parts cut or masked" in page(data)


def test_without_a_forecast_it_says_so(tmp_path: Path) -> None:
    """A run that was never scored has no answer on how sure it is, and no number of risks."""
    data = written(make_run(tmp_path))
    told = dict(sentences(data))
    assert told["Likely to be recited"].startswith(
        "This run has no forecast (rote score makes one)"
    )
    assert "How sure" not in told
    assert told["What the filter takes"] == "2 of 6 documents; 4 are kept."
    assert "| what | rows | words repeated | state |" in summary(data)


def test_an_order_is_told_by_occurrences(tmp_path: Path) -> None:
    """Where risks are an order the number is of sequences that occur as often as matters."""
    data = written(make_run(tmp_path, scored=True))
    target = {"extrapolated": True, "half_dose_95": [12.0, 180.0]}
    data["risk"]["model"]["target"] = target
    assert before_and_after(data) == (
        "Of some 400 different sequences 120 occur 2 times or more before the filter, 8 after it "
        "(scored 2 of 4 documents that stay, 4 of 6 before). Half may be recited from 12 times on, "
        "the low end of its interval; times are counted at powers of two. A longer training needs "
        "more: this corpus is then a smaller part of it."
    )
    target["half_dose_95"] = [16.0, 180.0]
    told = before_and_after(data)
    assert "60 occur 16 times or more before the filter, 4 after it" in told
    assert " Half may be recited from 16 times on, the low end of its interval. A longer" in told
    target["half_dose_95"] = [None, None]
    told = before_and_after(data)
    assert "60 occur 16 times or more before the filter, 4 after it" in told
    assert "from over 1M times on" in told
    before = data["removed"]["left"][0]["often"]
    before[-1]["sequences"] = 0.0
    assert (
        "Of some 400 different sequences none occurs 16 times or more; 120 occur 2 times or more "
        "before the filter, 8 after it" in before_and_after(data)
    )
    data["removed"]["left"] = None
    assert before_and_after(data) == ""
    assert LEFT[0]["risky"] == 3


def test_title_owner_and_date_are_on_the_first_page(tmp_path: Path) -> None:
    """They are shown where they are set, escaped; the digest of settings changes with a policy."""
    work = make_run(tmp_path)
    filed = with_report(work, title="Prose <2>", owner="Ann", date="29 November")
    first = written(filed)
    whole = page(first)
    assert "Prose &lt;2&gt;: what it would teach by rote" in whole
    assert "<dd>Ann</dd>" in whole
    assert "<dd>29 November</dd>" in whole
    assert r"Prose &lt;2&gt;; Ann; 29 November" in summary(first)
    assert "<dt>Owner</dt>" not in page(written(work))
    digest = first["provenance"]["settings"]
    assert digest == written(work)["provenance"]["settings"]
    policy = work.config.policy.model_copy(update={"rules": ()})
    config = work.config.model_copy(update={"policy": policy})
    other = written(dataclasses.replace(work, config=config))
    assert other["provenance"]["settings"] != digest


def test_a_day_needs_no_quotes() -> None:
    """A date and a number of TOML are taken as they are written; yes and no are not."""
    assert ReportConfig.model_validate({"date": datetime.date(2026, 12, 1)}).date == "2026-12-01"
    assert ReportConfig.model_validate({"title": 7}).title == "7"
    with pytest.raises(ValueError, match="valid string"):
        ReportConfig.model_validate({"owner": True})


def test_sources_apart_are_in_no_list_of_the_worst(tmp_path: Path) -> None:
    """Neither first, clusters, passages, risky texts nor alarms name them; a section does."""
    work = make_run(tmp_path, scored=True)
    data = written(with_report(work, apart=("site", "none")))
    assert [row["source_group"] for row in data["first"]] == ["<b>site</b>"]
    assert data["clusters"] == data["spans"]["top"] == []
    assert {row["document"]["doc_id"] for row in data["risk"]["top"]} == {"hostile"}
    assert data["apart"]["sources"] == [
        {"source": "site", "documents": 5, "distinct_texts": 4, "exact_count": 2, "near_count": 3,
         "max_window_count": 2, "kept": 3},
    ]  # fmt: skip
    assert data["corpus"] == written(work)["corpus"]
    assert "Shown apart" in page(data)
    assert "Shown apart" not in page(written(work))


def test_alarms_are_counted_as_they_are_listed(tmp_path: Path) -> None:
    """Four clusters are one line: tile and headings say one, on the page and on Prefect's."""
    clusters = [{"cluster": f"{n}" * 32, "members": 60 - n, "kept": 1} for n in range(4)]
    manifest: Row = {"config": {}, "corpus": {"shards": []}, "outputs": {}}
    raised = judge(
        {"documents": 1000, "near_capped": 0, "duplicate_ids": 0}, [], clusters, [], manifest
    )
    work = make_run(tmp_path)
    data = {**written(work), "alarms": raised}
    assert len(raised) == 4
    assert "## Alarms (1)" in summary(data)
    assert '<dd class="figure">1</dd><dd class="note"><a href="#audit">' in page(data)
    manifest["outputs"]["report/all"] = {"facts": {"alarms": raised}, "files": []}
    assert "| alarms | 1 |" in counts_page(manifest)


def test_no_risk_is_shown_as_certain() -> None:
    """Three digits cannot tell 0.9999 from 1: such a risk is above 0.999."""
    assert [risk_figure(value) for value in (0.0, 0.0002, 0.25, 0.9999, 1.0)] == [
        "0.000", "<0.001", "0.250", ">0.999", "1.000",
    ]  # fmt: skip
    assert interval(0.9996, 0.9999) == ">0.999"
    assert interval(0.25, 0.75) == "0.250\N{EN DASH}0.750"
    assert interval(None, 0.5) == "\N{EN DASH}"
