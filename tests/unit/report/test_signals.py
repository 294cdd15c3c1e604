"""The sections "Signals" and "Mitigations": every number of probes and mitigations is shown."""

from __future__ import annotations

import dataclasses
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa

from pipeline.engine.manifest import load_manifest, manifest_bytes
from pipeline.engine.stage import Work
from pipeline.engine.tables import write_table
from pipeline.report.html.markup import text_of
from pipeline.report.page.mitigations import mitigations
from pipeline.report.page.signals import signals
from pipeline.report.report import report
from schemas.score.dynamics import DYNAMICS
from schemas.score.probes import PROBES
from tests.report_runs import make_run

Row = dict[str, Any]
SCHEMA = json.loads(files("schemas").joinpath("report.json").read_text(encoding="utf-8"))


def _number(times: str, mean: float, proxy: str = "p1") -> Row:
    return {
        "signal": "approximate", "name": "edit_distance", "proxy": proxy, "times_seen": times,
        "sequences": 8, "families": 5, "mean": mean, "mean_95": [mean - 1, mean + 1],
    }  # fmt: skip


DECILE = {
    "decile": 10, "from": 11.0, "to": 14.5, "sequences": 40, "memorized": 0.1,
    "memorized_weighted": 0.05, "families": 20, "families_memorized": 3,
    "rate_of_families_95": [0.05, 0.36], "mean_gap_bits": None,
}  # fmt: skip
PROBED: Row = {
    "asked": ["approximate"],
    "why_not": None,
    "sequences": 24,
    "families": 9,
    "proxies": ["p0", "p1"],
    "results": [
        _number("0", 30.0),
        _number("16 to 31", 2.5),
        _number("2 to 3", 20.0),
        _number("0", 31.0, "p0"),
    ],
    "by": "times trained on",
    "defence": [
        {
            "vectors": name, "still_recited": share, "still_recited_95": [0.0, share],
            "sequences": 11, "nats_added": nats, "nats_added_95": [-0.1, 0.25], "unknown": 40,
        }
        for name, share, nats in (("plain", 1.0, 0.0), ("started", 0.5, 0.05), ("at_1", 0.0, 0.125))
    ],
    "long_tail": {"seen": [DECILE]},
    "same_dose": [
        {
            "column": "token_bits", "words": "bits a token of the suffix", "memorized": 30,
            "others": 50, "families": 12, "mean_memorized": 11.5, "mean_others": 10.25,
            "difference_95": [0.5, 2.0],
        }
    ],
    "strata": [
        {
            "text": "with redaction markers", "seen": True, "sequences": 7, "rate": 0.2857,
            "families": 4, "families_memorized": 1, "rate_of_families_95": [0.046, 0.699],
        }
    ],
}  # fmt: skip
MITIGATED: Row = {
    "decisions/all": {
        "sinks": {"sinks": 41, "documents_with_another_sink_than_before": 3},
    },
    "seal/all": {
        "memfree": {
            "sequences": 12, "runs": 300, "n": 10, "bits": 65536, "hashes": 7,
            "false_positives_expected": 1e-6, "false_positives_of_random_runs": 0.0,
            "false_positives_of_other_text": None, "missed_after": {"upper case": 0.95},
        },
    },
    "emit/g00000": {"shards": [], "tokens": 1_000, "tokens_left_out": 240},
    "emit/g00001": {"shards": [], "tokens": 1_000, "tokens_left_out": 260},
}  # fmt: skip


def _moment(steps: int, taught: int, since: int | None, texts: int, hits: int) -> Row:
    """Return a row of `dynamics` of the proxy p1, whose training has 40 steps."""
    area = (0.75, 0.5, 0.9) if taught else (None, None, None)
    return {
        "proxy": "p1", "parameters": 200, "steps": steps, "share_of_training": steps / 40,
        "taught": taught, "steps_since": since, "texts": texts, "memorized": hits,
        "low": 0.0, "high": 0.3,
        **dict(zip(("auc", "auc_low", "auc_high"), area, strict=True)),
        "sudden_steps": 20.0 if taught else 30.0,
    }  # fmt: skip


def _reported(
    folder: Path, outputs: Row, course: list[Row] | None = None, **mitigation: object
) -> tuple[Row, str]:
    """Return report.json and the text of the page of a run with these facts of its stages."""
    work = make_run(folder, scored=True)
    with write_table(work.folder, "dynamics", "all", DYNAMICS) as marks:
        marks.write(pa.Table.from_pylist(course or [], DYNAMICS))
    with write_table(work.folder, "probes", "all", PROBES) as out:
        out.write(PROBES.empty_table())
    manifest = load_manifest(work.folder)
    entry: Row = {**manifest["outputs"]["risk/all"], "files": [dataclasses.asdict(out.record)]}
    for name, facts in outputs.items():
        own = manifest["outputs"].get(name, {**entry, "files": []})
        manifest["outputs"][name] = {**own, "facts": facts}
    manifest["outputs"]["probes/all"]["files"] = [dataclasses.asdict(out.record)]
    (work.folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    wanted = work.config.mitigation.model_copy(update=mitigation)
    config = work.config.model_copy(update={"mitigation": wanted})
    tables = {**work.tables, "probes": (out.record.path,), "dynamics": (marks.record.path,)}
    report(dataclasses.replace(work, config=config, tables=tables))
    written = work.folder / "report"
    data = json.loads((written / "report.json").read_text())
    jsonschema.validate(data, SCHEMA)
    return data, (written / "index.html").read_text()


def test_what_probes_measured_reaches_the_report(tmp_path: Path) -> None:
    """Means of the largest proxy by times seen, in their order; kinds of text; the long tail."""
    data, page = _reported(tmp_path, {"probes/all": PROBED})
    told = text_of(signals(data))
    assert "24 sequences of 9 families by the proxy p1" in told
    assert "11 recited sequences and 40 that the model does not know" in told
    assert "none100.0%0.0% to 100.0%+0.000-0.100 to +0.250" in told
    assert "trained to hold 1 nats a token0.0%0.0% to 0.0%+0.125" in told
    assert "bits a token of the suffix11.510.2+1.25+0.5 to +2" in told
    assert "seen 0seen 2 to 3seen 16 to 31" in told
    assert "edit distance30 [29, 31]20 [19, 21]2.5 [1.5, 3.5]" in told
    assert "31 [30, 32]" not in told  # another proxy's
    assert "with redaction markerstrained on728.6%25.0%4.6% to 69.9%" in told
    assert "trained on1011.0 to 14.52015.0%5.0% to 36.0%" in told
    assert 'id="chart-tail"' in page
    assert 'href="#signals"' in page


def test_a_run_without_probes_says_how_to_ask_for_them(tmp_path: Path) -> None:
    """The long tail is there all the same."""
    none = {**PROBED, "asked": [], "results": [], "proxies": []}
    data, _ = _reported(tmp_path, {"probes/all": none})
    told = text_of(signals(data))
    assert "No probe was asked for." in told
    assert "probes.signals" in told
    assert "Long tail" in told


def test_the_course_of_a_training_reaches_the_report(tmp_path: Path) -> None:
    """By dose at each moment, and by steps since over all moments; of the largest proxy."""
    course = [
        {**_moment(40, 1, None, 9, 9), "proxy": "p0", "parameters": 100},
        _moment(20, 0, None, 10, 0),
        _moment(20, 2, None, 4, 1),
        _moment(20, 2, 8, 4, 1),
        _moment(40, 0, None, 10, 0),
        _moment(40, 2, None, 4, 3),
        _moment(40, 2, 8, 1, 1),
        _moment(40, 2, 16, 3, 2),
    ]
    data, page = _reported(tmp_path, {"probes/all": PROBED}, course)
    found = data["signals"]["dynamics"]
    assert (found["proxy"], found["steps"], len(found["course"])) == ("p1", 40, 4)
    assert found["course"][3]["share"] == 0.75
    assert found["course"][3]["auc_95"] == [0.5, 0.9]
    assert [(row["steps_since"], row["answers"], row["memorized"]) for row in found["since"]] == [
        (8, 5, 2),
        (16, 3, 2),
    ]
    told = text_of(signals(data))
    assert "the last time after 40 steps" in told
    assert "never (floor)50%100.0%0.0% to 30.0%" in told
    assert "2\N{EN DASH}350%425.0%" in told
    assert "8 or more0.75, 40% of 5" in told
    assert "never (floor)1075%0.0%" in told
    assert "2\N{EN DASH}3450%75.0%" in told
    assert 'id="chart-recall"' in page
    assert 'id="chart-recognition"' in page


def test_a_chart_of_many_doses_has_every_second_one(tmp_path: Path) -> None:
    """Its numbers have all, and it says so."""
    course = [_moment(40, dose, None, 4, 1) for dose in (0, 1, 2, 4, 8, 16, 32)]
    data, page = _reported(tmp_path, {"probes/all": PROBED}, course)
    told = text_of(signals(data))
    assert told.count("every second dose") == 1  # of recall alone: six doses are recognised
    assert "32\N{EN DASH}63100%4" in told
    drawn = page[page.index('id="chart-recall"') :].partition("</figure>")[0]
    assert r"16\u201331" in drawn.partition("<details")[0]
    assert r"8\u201315" not in drawn.partition("<details")[0]


def test_without_marks_no_course_is_told(tmp_path: Path) -> None:
    """Null in the data, and no chart."""
    data, page = _reported(tmp_path, {"probes/all": PROBED})
    assert data["signals"]["dynamics"] is None
    assert "chart-recall" not in page


def test_a_run_that_was_not_scored_has_no_signals(tmp_path: Path) -> None:
    """Null in the data, a sentence on the page; nothing was added for training either."""
    work: Work = make_run(tmp_path)
    report(work)
    data = json.loads((work.folder / "report" / "report.json").read_text())
    assert data["signals"] is None
    assert "rote score RUN" in text_of(signals(data))
    assert "Nothing was added for training." in text_of(mitigations(data))


def test_mitigations_tell_what_they_do_and_miss(tmp_path: Path) -> None:
    """Sinks that changed, the measured share left out of the loss, errors and what evades."""
    asked: Row = {"sink_id": True, "goldfish_k": 4, "memfree_n": 10, "weights": "exact"}
    sealed = MITIGATED["seal/all"]
    of_words = {**sealed["memfree"], "n": 6, "missed_after": {"upper case": 0.0}}
    both = {**MITIGATED, "seal/all": {**sealed, "memfree_words": of_words}}
    data, _ = _reported(tmp_path, {"probes/all": PROBED, **both}, memfree_words=6, **asked)
    told = text_of(mitigations(data))
    for part in (
        "41 texts",
        "3 documents have another one",
        "1 over its exact count",
        "tokens of kept rows2,000",
        "share left out25.00%",
        "asked (1 of k)25.00%",
        "false positives expected1e-06",
        "measured, other runs of these texts\N{EN DASH}",
        "Filter for decoding, by tokens",
        "missed after: upper case95%",
        "Filter for decoding, by words",
        "missed after: upper case0%",
    ):
        assert part in told, part


def test_mitigations_that_are_off_are_not_told(tmp_path: Path) -> None:
    """Facts of a former setting do not show."""
    data, _ = _reported(tmp_path, {"probes/all": PROBED, **MITIGATED})
    assert not any(data["mitigations"].values())


def test_probes_that_were_asked_for_in_vain_are_named(tmp_path: Path) -> None:
    """Where too little is recited there are no numbers, which is not the same as no question."""
    none = {**PROBED, "asked": ["soft_defence"], "results": [], "proxies": []}
    data, _ = _reported(tmp_path, {"probes/all": none})
    told = text_of(signals(data))
    assert "The probes asked for (soft_defence) have no numbers here" in told
    assert "No probe was asked for." not in told
