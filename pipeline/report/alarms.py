"""What a person must look at before trusting a filtered corpus (promise 8): no silent wipe-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.query import Limits
from pipeline.query import run as query

GROUP_ROWS = 50
CLUSTER_DOCUMENTS = 50
CLUSTER_PER_MILLE = 10
MOST_CLUSTERS = 100

Row = dict[str, Any]


def alarms(
    documents: Sequence[Path], decisions: Sequence[Path], manifest: Mapping[str, Any], limits: Limits = Limits()
) -> list[Row]:
    """Return the alarms and notes of a run, in a fixed order.

    documents, decisions: the files of those tables. Each entry has `level` (alarm | note), `kind`, `where`, `numbers`
    and a `sentence`; only alarms fail a strict run.
    """
    both = {"documents": documents, "decisions": decisions}
    alone = {"documents": documents}
    return judge(
        query("report_totals", alone, {"window": 1}, limits=limits).to_pylist()[0],
        query("report_sources", both, limits=limits).to_pylist(),
        query("report_clusters", both, {"top": MOST_CLUSTERS}, limits=limits).to_pylist(),
        query("report_shards", both, limits=limits).to_pylist(),
        manifest,
    )


def judge(
    totals: Row, sources: Sequence[Row], clusters: Sequence[Row], shards: Sequence[Row], manifest: Mapping[str, Any]
) -> list[Row]:
    """Return the alarms that these aggregates raise; a pure function, integers compared at every limit.

    clusters: the largest; at most 99 can each hold more than 1% of the corpus, so `MOST_CLUSTERS` of them suffice.
    """
    return [
        *(_group(row) for row in sources if row["documents"] >= GROUP_ROWS and 2 * row["removed"] > row["documents"]),
        *(
            _cluster(row, totals["documents"])
            for row in clusters
            if row["members"] >= CLUSTER_DOCUMENTS
            and 1000 * row["members"] > CLUSTER_PER_MILLE * totals["documents"]
        ),
        *([_capped(totals["near_capped"])] if totals["near_capped"] else []),
        *_empty_shards(shards, shard_rows(manifest)),
        *([_duplicates(totals)] if totals["duplicate_ids"] else []),
        *(_skipped(name, why) for name, why in sorted(manifest["corpus"].get("skipped", {}).items())),
    ]


def shard_rows(manifest: Mapping[str, Any]) -> list[Row]:
    """Return number, name, file bytes, rows, rejected rows and their reasons of each shard in the corpus now."""
    active = [shard for shard in manifest["corpus"]["shards"] if shard["active"]]
    return [
        {
            "number": shard["number"],
            "name": shard["name"],
            "bytes": shard["bytes"],
            "rows": shard["documents"] + sum(shard["rejected"].values()),
            "rejected": sum(shard["rejected"].values()),
            "reasons": shard["rejected"],
        }
        for shard in sorted(active, key=lambda shard: int(shard["number"]))
    ]


def _entry(level: str, kind: str, where: str, numbers: Row, sentence: str) -> Row:
    return {"level": level, "kind": kind, "where": where, "numbers": numbers, "sentence": sentence}


def _group(row: Row) -> Row:
    removed, documents = row["removed"], row["documents"]
    return _entry(
        "alarm", "source_group", row["source_group"],
        {"documents": documents, "removed": removed, "kept": row["kept"]},
        f"This source group loses {removed:,} of its {documents:,} documents ({removed / documents:.1%}): "
        "more than half.",
    )


def _cluster(row: Row, documents: int) -> Row:
    members = row["members"]
    return _entry(
        "alarm", "cluster", row["cluster"],
        {"members": members, "kept": row["kept"], "documents": documents},
        f"One cluster of copies holds {members:,} documents ({members / documents:.1%} of the corpus); "
        f"{row['kept']:,} of them stay.",
    )


def _capped(documents: int) -> Row:
    return _entry(
        "alarm", "capped_bucket", "candidates", {"documents": documents},
        f"Buckets were too large to pair in full: the near and effective counts of {documents:,} documents "
        "are lower bounds. A higher near.bucket_cap pairs them all.",
    )


def _empty_shards(shards: Sequence[Row], listed: Sequence[Row]) -> list[Row]:
    kept = {row["number"]: row["kept"] for row in shards}
    return [
        _entry(
            "alarm", "empty_shard", shard["name"], {"rows": shard["rows"], "rejected": shard["rejected"]},
            f"Not one of the {shard['rows']:,} rows of this shard is kept.",
        )
        for shard in listed
        if shard["rows"] and not kept.get(shard["number"])
    ]


def _duplicates(totals: Row) -> Row:
    ids, rows = totals["duplicate_ids"], totals["rows_with_duplicate_id"]
    return _entry(
        "note", "duplicate_ids", "id", {"ids": ids, "documents": rows},
        f"{ids:,} document ids are used more than once, by {rows:,} documents in all. "
        "Nothing was dropped for it; rows are told apart by shard and row.",
    )


def _skipped(name: str, why: str) -> Row:
    return _entry("note", "skipped_file", name, {}, f"This file was left out of the corpus: {why}")
