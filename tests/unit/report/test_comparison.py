from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.engine.manifest import manifest_bytes
from pipeline.engine.query import Limits
from pipeline.engine.stage import Work
from pipeline.errors import InputError, IntegrityError
from pipeline.report.data.comparison import against
from pipeline.report.report import outside, report
from tests.report_runs import B, compared_with, make_run, recorded


def _runs(folder: Path, **other: bool) -> tuple[Work, Work]:
    """Return the work of a run now, and that of the same run before."""
    for name in ("now", "before"):
        (folder / name).mkdir()
    return make_run(folder / "now", **other), make_run(folder / "before", **other)


def _edit(work: Work, table: str, column: str, rows: list[int], value: object) -> None:
    """Give a column of some rows of a table, by row_key, another value."""
    path = work.paths(table)[0]
    data = pq.read_table(path)
    chosen = pc.is_in(data["row_key"], pa.array(rows, pa.uint64()))
    place = data.schema.get_field_index(column)
    new = pc.if_else(chosen, pa.scalar(value, data.schema.field(column).type), data[column])
    pq.write_table(data.set_column(place, data.schema.field(column), new), path)
    recorded(work, table)


def _changes(work: Work) -> dict:  # type: ignore[type-arg]
    report(work)
    return dict(json.loads((work.folder / "report" / "report.json").read_text())["changes"])


def test_the_same_run_has_not_changed(tmp_path: Path) -> None:
    """Against its own twin every number is as before, and no setting differs."""
    now, before = _runs(tmp_path, scored=True)
    found = _changes(compared_with(now, before.folder))
    assert found["name"] == "run"
    assert all(row["before"] == row["now"] for row in (*found["totals"], *found["risk"]))
    assert [(row["before"], row["now"], row["documents"]) for row in found["fates"]] == [
        ("exact_copy", "exact_copy", 1),
        ("kept", "kept", 4),
        ("near_copy", "near_copy", 1),
    ]
    assert (found["sources"], found["clusters"], found["settings"]) == ([], [], [])
    assert found["shards"] == {"added": 0, "gone": 0, "changed": 0, "same": 2}


def test_what_changed_is_counted(tmp_path: Path) -> None:
    """A near copy that stayed before, texts that were not there, a threshold: all are told."""
    now, before = _runs(tmp_path)
    _edit(before, "decisions", "action", [B + 1], "keep")
    _edit(before, "documents", "text_hash", [0, B, B + 1], b"another text....")
    manifest = json.loads((before.folder / "manifest.json").read_text())
    manifest["config"]["near"]["threshold"] = 0.9
    manifest["corpus"]["shards"][0]["name"] = "other.parquet"
    (before.folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    found = _changes(compared_with(now, before.folder))
    totals = {row["measure"]: (row["before"], row["now"]) for row in found["totals"]}
    assert totals["documents"] == (6, 6)
    assert totals["kept"] == (5, 4)
    assert totals["near_copies_removed"] == (0, 1)
    assert {(row["before"], row["now"]): row["documents"] for row in found["fates"]} == {
        (None, "exact_copy"): 1,
        (None, "kept"): 1,
        (None, "near_copy"): 1,
        ("exact_copy", None): 1,
        ("kept", None): 2,
        ("kept", "kept"): 3,
    }
    assert [
        (row["source_group"], row["kept_before"], row["kept_now"]) for row in found["sources"]
    ] == [("site", 4, 3)]
    assert [(row["members"], row["source_group"]) for row in found["clusters"]] == [(3, "site")]
    assert found["settings"] == [{"setting": "near.threshold", "before": 0.9, "now": 0.8}]
    assert found["shards"] == {"added": 1, "gone": 1, "changed": 0, "same": 1}
    page = (now.folder / "report" / "index.html").read_text()
    assert '<h2 id="changes-title">What changed</h2>' in page
    assert "near.threshold" in (now.folder / "report" / "report.json").read_text()
    assert "## Changed since run" in (now.folder / "report" / "summary.md").read_text()


def test_a_sweep_of_the_vocabulary_is_two_runs(tmp_path: Path) -> None:
    """Another number of tokens and what it does to the forecast stand side by side."""
    now, before = _runs(tmp_path, scored=True)
    _edit(before, "document_risk", "risk", [1], 0.25)
    _edit(before, "document_risk", "expected_tokens", [1], 3.0)
    manifest = json.loads((before.folder / "manifest.json").read_text())
    manifest["config"]["proxy"]["vocabulary"] = 512
    (before.folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    found = _changes(compared_with(now, before.folder))
    assert found["settings"] == [{"setting": "proxy.vocabulary", "before": 512, "now": 2048}]
    risk = {row["measure"]: (row["before"], row["now"]) for row in found["risk"]}
    assert risk["scored"] == (3, 3)
    assert risk["risky"] == (0, 1)
    assert risk["tokens_at_risk"][0] < risk["tokens_at_risk"][1]


def test_a_run_without_decisions_is_refused(tmp_path: Path) -> None:
    """There is nothing to compare with before the other run was filtered; which one is said."""
    for name in ("now", "before"):
        (tmp_path / name).mkdir()
    now, before = make_run(tmp_path / "now"), make_run(tmp_path / "before", decided=False)
    with pytest.raises(InputError, match="nothing to compare") as caught:
        report(compared_with(now, before.folder))
    assert caught.value.where == str(before.folder)


def test_the_fingerprint_takes_in_what_is_outside_the_run(tmp_path: Path) -> None:
    """Another back-test or another content of the other run makes the report due again."""
    now, before = _runs(tmp_path)
    config = compared_with(now, before.folder).config
    first = outside(now.folder, config)
    assert first == outside(now.folder, config)
    assert outside(now.folder, now.config) == ["", ""]
    (now.folder / "backtest").mkdir()
    (now.folder / "backtest" / "backtest.json").write_text("{}")
    second = outside(now.folder, config)
    assert second[0] != first[0]
    manifest = json.loads((before.folder / "manifest.json").read_text())
    manifest["outputs"]["decisions/all"]["files"][0]["digest"] = "another"
    (before.folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    third = outside(now.folder, config)
    assert third[1] != second[1]
    manifest["scan"] += 1  # the page shows it, and the settings, beside those of this run
    (before.folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    assert outside(now.folder, config)[1] != third[1]
    (before.folder / "manifest.json").unlink()
    assert outside(now.folder, config)[1] == "unreadable"


@pytest.mark.parametrize("side", ["now", "before", "both"])
def test_a_run_without_a_row_compares_as_nothing(tmp_path: Path, side: str) -> None:
    """A side with no document or no scored one counts 0 everywhere, whichever it is."""
    now, before = _runs(tmp_path, scored=True)
    for name, work in (("now", now), ("before", before)):
        for table in ("documents", "decisions", "document_risk") if side in (name, "both") else ():
            path = work.paths(table)[0]
            pq.write_table(pq.read_table(path).slice(0, 0), path)
            recorded(work, table)
    found = against(
        compared_with(now, before.folder),
        json.loads((now.folder / "manifest.json").read_text()),
        {"config": now.config.model_dump(mode="json")},
        Limits(),
    )
    assert found is not None
    empty = [which for which in ("now", "before") if side in (which, "both")]
    for row in (*found["totals"], *found["risk"]):
        assert all(row[which] == 0 for which in empty)
        assert isinstance(row["now"], int)
        assert isinstance(row["before"], int)


def test_a_damaged_run_to_compare_with_is_named(tmp_path: Path) -> None:
    """The other run's tables are held against their digests as ours are."""
    now, before = _runs(tmp_path)
    path = before.paths("documents")[0]
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(IntegrityError, match="damaged") as refused:
        report(compared_with(now, before.folder))
    assert refused.value.where == str(path)
