from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.engine.manifest import load_manifest
from pipeline.report.data.alarms import alarms, grouped, judge
from tests.report_runs import make_run

Row = dict[str, Any]


def _totals(documents: int, **more: int) -> Row:
    return {
        "documents": documents,
        "near_capped": 0,
        "duplicate_ids": 0,
        "rows_with_duplicate_id": 0,
        **more,
    }


def _group(documents: int, removed: int) -> Row:
    return {
        "source_group": "s",
        "documents": documents,
        "removed": removed,
        "kept": documents - removed,
    }


def _manifest(*shards: Row) -> Row:
    return {"corpus": {"skipped": {}, "shards": list(shards)}}


def _shard(number: int, documents: int, rejected: int = 0, active: bool = True) -> Row:
    reasons = {"null_text": rejected} if rejected else {}
    return {
        "number": number,
        "name": f"{number}.parquet",
        "bytes": 1,
        "documents": documents,
        "rejected": reasons,
        "active": active,
    }


def _kinds(*args: Any) -> list[tuple[str, str]]:
    return [(entry["level"], entry["kind"]) for entry in judge(*args)]


def test_a_group_of_fifty_that_loses_more_than_half_alarms() -> None:
    """26 of 50 is more than half, 25 is not, and a group of 49 is too small to tell."""
    quiet: list[Row] = []
    for documents, removed, expected in (
        (50, 26, [("alarm", "source_group")]),
        (50, 25, []),
        (49, 49, []),
        (101, 51, [("alarm", "source_group")]),
    ):
        assert (
            _kinds(_totals(1000), [_group(documents, removed)], quiet, quiet, _manifest())
            == expected
        )


def test_a_large_cluster_above_one_per_cent_alarms() -> None:
    """51 of 5,000 documents is above 1%, 50 is exactly 1%, 49 is too small at any share."""
    for members, documents, expected in ((51, 5000, 1), (50, 5000, 0), (49, 49, 0), (50, 4999, 1)):
        cluster = {"cluster": "c", "members": members, "kept": 1}
        assert len(_kinds(_totals(documents), [], [cluster], [], _manifest())) == expected


def test_documents_of_capped_buckets_alarm() -> None:
    """Counts that are only lower bounds are said to be."""
    facts = {"pairs_left_out": 7, "estimated_missed": {"0.5": 4, "0.8": 1}}
    manifest = {**_manifest(), "outputs": {"candidates/all": {"facts": facts}}}
    found = judge(_totals(10, near_capped=3), [], [], [], manifest)
    assert [(entry["kind"], entry["numbers"]) for entry in found] == [
        ("capped_bucket", {"documents": 3, "pairs_left_out": 7})
    ]
    assert "compared with each other: about 4 pairs at Jaccard 0.5" in found[0]["sentence"]


def test_planted_copies_that_are_not_proposed_alarm() -> None:
    """98% of the copies planted at or above the threshold must be proposed, of 20 or more."""
    for planted, proposed, expected in ((100, 98, 0), (100, 97, 1), (19, 0, 0), (20, 19, 1)):
        bins = [
            {"from": 0.7, "planted": 50, "proposed": 0},
            {"from": 0.8, "planted": planted - 5, "proposed": proposed - min(5, proposed)},
            {"from": 0.9, "planted": 5, "proposed": min(5, proposed)},
        ]
        manifest = {
            **_manifest(),
            "config": {"near": {"threshold": 0.8}},
            "outputs": {"candidates/all": {"facts": {"planted": bins}}},
        }
        assert len(judge(_totals(10), [], [], [], manifest)) == expected


def test_a_scored_run_without_a_forecast_alarms_first() -> None:
    """It says why and what would help; a run that was never scored, or has one, does not."""
    for facts, expected in (
        ({"fitted": False, "why_not": "nothing was memorized", "memorized": [{"proxy": "p0"}]}, 1),
        ({"fitted": True, "why_not": None}, 0),
        ({}, 0),
    ):
        manifest = {**_manifest(), "outputs": {"risk/all": {"facts": facts}}}
        found = judge(_totals(50), [_group(50, 50)], [], [], manifest)
        assert [entry["kind"] for entry in found] == ["no_forecast"] * expected + ["source_group"]
        if expected:
            assert (found[0]["level"], found[0]["where"]) == ("alarm", "risk")
            assert found[0]["sentence"].startswith("There is no forecast: nothing was memorized.")
            assert "proxy.sample_tokens" in found[0]["sentence"]


def test_a_shard_that_comes_out_empty_alarms() -> None:
    """Rows and none kept alarms, even if all were rejected; an empty or retired shard not."""
    kept = [{"number": 0, "kept": 1}, {"number": 1, "kept": 0}]
    manifest = _manifest(
        _shard(0, 50), _shard(1, 50), _shard(2, 0, 40), _shard(3, 0), _shard(4, 50, active=False)
    )
    found = judge(_totals(10), [], [], kept, manifest)
    assert [(entry["kind"], entry["where"]) for entry in found] == [
        ("empty_shard", "1.parquet"),
        ("empty_shard", "2.parquet"),
    ]


def test_small_shards_alarm_together_when_most_are_lost() -> None:
    """A file of one document loses it whenever that is a copy: one of them tells nothing."""
    for lost, expected in ((99, ["empty_shard"]), (50, []), (1, [])):
        kept = [{"number": number, "kept": int(number >= lost)} for number in range(100)]
        manifest = _manifest(*(_shard(number, 1) for number in range(100)))
        found = judge(_totals(100), [], [], kept, manifest)
        assert [entry["kind"] for entry in found] == expected
    few = _manifest(*(_shard(number, 1) for number in range(20)))
    assert judge(_totals(20), [], [], [], few) == []


def test_duplicate_ids_and_skipped_files_are_notes() -> None:
    """Neither loses a row, so neither fails a strict run."""
    manifest = _manifest(_shard(0, 1))
    manifest["corpus"]["skipped"] = {"bad.parquet": "A file cannot be read."}
    found = judge(
        _totals(1, duplicate_ids=2, rows_with_duplicate_id=5),
        [],
        [],
        [{"number": 0, "kept": 1}],
        manifest,
    )
    assert [(entry["level"], entry["kind"]) for entry in found] == [
        ("note", "duplicate_ids"),
        ("note", "skipped_file"),
    ]


def test_alarms_of_a_run_come_from_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function of the exit summary reads the tables: a shard that lost all rows is named."""
    monkeypatch.setattr("pipeline.report.data.alarms.SHARD_ROWS", 3)
    work = make_run(tmp_path)
    paths = work.paths("documents"), work.paths("decisions")
    assert alarms(*paths, load_manifest(work.folder)) == []
    decisions = pq.read_table(paths[1][0])
    lost = pc.less(decisions["row_key"], pa.scalar(1 << 40, pa.uint64()))
    action = pc.if_else(lost, "drop", decisions["action"])
    pq.write_table(decisions.set_column(1, "action", action), paths[1][0])
    assert alarms(*paths, load_manifest(work.folder)) == [
        {
            "level": "alarm",
            "kind": "empty_shard",
            "where": "a.parquet",
            "numbers": {"rows": 3, "rejected": 1},
            "sentence": "Not one of the 3 rows of shard a.parquet is kept.",
        }
    ]


def test_sentences_say_where_and_are_safe_on_a_terminal() -> None:
    """A group's name comes from the corpus: the sentence has it without control characters."""
    row = {"source_group": "a\x1b[31mb", "documents": 50, "removed": 26, "kept": 24}
    found = judge(_totals(100), [row], [], [], _manifest())
    assert found[0]["sentence"] == (
        "Source group a\N{SYMBOL FOR ESCAPE}[31mb loses 26 of its 50 documents (52.0%): "
        "more than half."
    )


def test_alarms_of_a_kind_are_told_as_one() -> None:
    """Five clusters are one line with their number and the largest; another alarm stays itself."""
    clusters = [{"cluster": f"{n}" * 32, "members": 60 - n, "kept": 1} for n in range(5)]
    row = {"source_group": "a", "documents": 50, "removed": 26, "kept": 24}
    found = judge(_totals(1000), [row], clusters, [], _manifest())
    assert len(found) == 6
    told = [entry["sentence"] for entry in grouped(found)]
    lead = "5 clusters of more than 1% of the corpus hold 290 documents."
    assert told[0] == "Source group a loses 26 of its 50 documents (52.0%): more than half."
    assert told[1:] == [f"{lead} The largest: {found[1]['sentence']}"]
    assert grouped([]) == []
