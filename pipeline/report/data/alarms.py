"""The alarms: what a person must look at before trusting a filtered corpus.

They keep promise 8 of docs/ARCHITECTURE.md: no silent wipe-out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.engine.query import Limits
from pipeline.engine.query import run as query
from pipeline.engine.tables import Row
from pipeline.report.data.headline import forecast_facts, no_forecast
from pipeline.report.quotes.quotes import label

ALARM, NOTE = "alarm", "note"
NO_FORECAST = "no_forecast"
GROUP_ROWS = 50
SHARD_ROWS = 10
CLUSTER_DOCUMENTS = 50
CLUSTER_PER_MILLE = 10
MOST_CLUSTERS = 100
NONE = pa.table({"row_key": pa.array([], pa.uint64())})  # no document is shown apart
AUDIT_LEAST = 20
LEADS = {
    "cluster": "{count} clusters of more than 1% of the corpus hold {documents} documents. The "
    "largest: ",
    "source_group": "{count} source groups lose more than half of their documents. The largest: ",
    "empty_shard": "Of {count} shards no row is kept. The first: ",
    "skipped_file": "{count} files were left out. The first: ",
}
"""What is said before the first of several alarms of a kind."""
AUDIT_PERCENT = 98
CANARIES = "canary-"  # their ids in a file to mix in; the hash of the text follows


def alarms(
    documents: Sequence[Path],
    decisions: Sequence[Path],
    manifest: Mapping[str, Any],
    limits: Limits | None = None,
) -> list[Row]:
    """Return the alarms of a run, in a fixed order.

    Notes, which fail no strict run, are left out. Each entry has `level`, `kind`, `where`,
    `numbers` and a `sentence` that says all of it.

    Args:
        documents: the files of the table.
        decisions: the files of the table.
        manifest: of the run.
        limits: of DuckDB.
    """
    limits = limits or Limits()
    both = {"documents": documents, "decisions": decisions}
    alone = {"documents": documents}
    found = judge(
        query("report/totals", alone, {"window_words": 1}, limits=limits).to_pylist()[0],
        query("report/sources", both, sources_params(0), limits=limits).to_pylist(),
        query(
            "report/clusters", {**both, "apart": NONE}, {"top": MOST_CLUSTERS}, limits=limits
        ).to_pylist(),
        query("report/shards", both, limits=limits).to_pylist(),
        manifest,
    )
    found += canary_alarm(documents, limits)
    return [entry for entry in found if entry["level"] == ALARM]


def judge(
    totals: Row,
    sources: Sequence[Row],
    clusters: Sequence[Row],
    shards: Sequence[Row],
    manifest: Mapping[str, Any],
) -> list[Row]:
    """Return the alarms and notes that some aggregates raise: `alarms` and `notes` of report.json.

    Every limit compares integers, and nothing but the arguments counts.

    Args:
        totals: the row of sql/report/totals.sql.
        sources: the rows of sql/report/sources.sql.
        clusters: the largest; at most 99 can each hold more than 1% of the corpus, so MOST_CLUSTERS
            of them
        suffice.
        shards: the rows of sql/report/shards.sql.
        manifest: of the run.
    """
    return [
        *no_forecast_alarm(manifest),
        *(
            _group(row)
            for row in sources
            if row["source_group"] is not None
            and row["documents"] >= GROUP_ROWS
            and 2 * row["removed"] > row["documents"]
        ),
        *(
            _cluster(row, totals["documents"])
            for row in clusters
            if row["members"] >= CLUSTER_DOCUMENTS
            and 1000 * row["members"] > CLUSTER_PER_MILLE * totals["documents"]
        ),
        *([_capped(totals["near_capped"], _search(manifest))] if totals["near_capped"] else []),
        *_audit(_search(manifest).get("planted", []), manifest),
        *_empty_shards(shards, shard_rows(manifest)),
        *([_duplicates(totals)] if totals["duplicate_ids"] else []),
        *(
            _skipped(name, why)
            for name, why in sorted(manifest["corpus"].get("skipped", {}).items())
        ),
    ]


def grouped(entries: Sequence[Row]) -> list[Row]:
    """Return the alarms and notes as they are shown: those of one kind as one, with their number.

    The first of a kind, which is its largest, is told whole.
    """
    kinds: dict[tuple[str, str], list[Row]] = {}
    for entry in entries:
        kinds.setdefault((entry["level"], entry["kind"]), []).append(entry)
    return [
        {**same[0], "sentence": f"{_lead(kind, same)}{same[0]['sentence']}"}
        for (_, kind), same in kinds.items()
    ]


def _lead(kind: str, same: Sequence[Row]) -> str:
    """Return what stands before the first of several alarms of a kind; nothing for one alone."""
    if len(same) == 1 or kind not in LEADS:
        return f"{len(same):,} times, first: " if len(same) > 1 else ""
    documents = sum(entry["numbers"].get("members", 0) for entry in same)
    return LEADS[kind].format(count=f"{len(same):,}", documents=f"{documents:,}")


def no_forecast_alarm(manifest: Mapping[str, Any]) -> list[Row]:
    """Return the alarm of a run that was scored and has no forecast."""
    sentence = no_forecast(*forecast_facts(manifest))
    return [_entry(ALARM, NO_FORECAST, "risk", {}, sentence)] if sentence else []


def canary_alarm(documents: Sequence[Path], limits: Limits) -> list[Row]:
    """Return the alarm that a corpus holds canaries of `rote canaries`; none where it does not.

    Args:
        documents: the files of the table.
        limits: of DuckDB.
    """
    inputs = {"documents": documents}
    [row] = query("report/canaries", inputs, {"named": CANARIES}, limits=limits).to_pylist()
    if not row["documents"]:
        return []
    return [
        _entry(
            ALARM,
            "canaries",
            "id",
            row,
            f"{row['documents']:,} documents are canaries of rote, {row['texts']:,} texts that "
            "repeat on purpose: a filter takes their copies out, and with these the doses. Scan "
            "the corpus without them, and mix them in after the filter.",
        )
    ]


def sources_params(top: int) -> dict[str, int]:
    """Return the parameters of sql/report/sources.sql: the largest groups, and all that alarm."""
    return {"top": top, "alarm_rows": GROUP_ROWS}


def shard_rows(manifest: Mapping[str, Any]) -> list[Row]:
    """Return number, name, file bytes, rows and rejections of each shard in the corpus."""
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
    """Return one alarm or note."""
    return {"level": level, "kind": kind, "where": where, "numbers": numbers, "sentence": sentence}


def _group(row: Row) -> Row:
    """Return the alarm of a source group that loses more than half of its documents."""
    removed, documents = row["removed"], row["documents"]
    return _entry(
        ALARM,
        "source_group",
        row["source_group"],
        {"documents": documents, "removed": removed, "kept": row["kept"]},
        f"Source group {label(row['source_group'])} loses {removed:,} of its {documents:,} "
        f"documents ({removed / documents:.1%}): more than half.",
    )


def _cluster(row: Row, documents: int) -> Row:
    """Return the alarm of a cluster that holds more than 1% of the corpus."""
    members = row["members"]
    return _entry(
        ALARM,
        "cluster",
        row["cluster"],
        {"members": members, "kept": row["kept"], "documents": documents},
        f"Cluster {row['cluster'][:12]} holds {members:,} documents ({members / documents:.1%} of "
        f"the corpus); {row['kept']:,} of them stay.",
    )


def _search(manifest: Mapping[str, Any]) -> Row:
    """Return the facts that the search for candidates recorded."""
    return dict(manifest.get("outputs", {}).get("candidates/all", {}).get("facts", {}))


def _capped(documents: int, search: Row) -> Row:
    """Return the alarm that buckets were not paired in full."""
    missed = search.get("estimated_missed", {})
    estimates = ", ".join(
        f"about {count:,} pairs at Jaccard {at} and above" for at, count in missed.items()
    )
    unmet = (
        f" Near copies that were not compared with each other: {estimates}." if estimates else ""
    )
    return _entry(
        ALARM,
        "capped_bucket",
        "candidates",
        {"documents": documents, "pairs_left_out": search.get("pairs_left_out", 0)},
        f"Buckets were too large to pair in full: the near and effective counts of {documents:,} "
        f"documents are lower bounds.{unmet} Each was compared with the nearest and the best of "
        "its bucket, so of texts that are all alike one stays. A higher near.bucket_cap pairs them "
        "all.",
    )


def _audit(bins: Sequence[Row], manifest: Mapping[str, Any]) -> list[Row]:
    """Return an alarm when too few of the planted copies above the threshold were proposed."""
    threshold = manifest["config"]["near"]["threshold"] if bins else 1.0
    above = [entry for entry in bins if entry["from"] >= threshold - 1e-9]
    planted, proposed = (sum(entry[key] for entry in above) for key in ("planted", "proposed"))
    if planted < AUDIT_LEAST or 100 * proposed >= AUDIT_PERCENT * planted:
        return []
    return [
        _entry(
            ALARM,
            "audit",
            "candidates",
            {"planted": planted, "proposed": proposed},
            f"Of {planted:,} near copies planted at or above Jaccard {threshold:g} the search "
            f"proposed {proposed:,}: near copies are left standing. More sketch.bands, or fewer "
            "sketch.rows, find more.",
        )
    ]


def _empty_shards(shards: Sequence[Row], listed: Sequence[Row]) -> list[Row]:
    """Return an alarm for each shard of which no row is kept, and one for the smallest together.

    A file of one document loses it whenever that is a copy, so small shards alarm only when most of
    them are lost.
    """
    kept = {row["number"]: row["kept"] for row in shards}
    small = [shard for shard in listed if 0 < shard["rows"] < SHARD_ROWS]
    lost = [shard for shard in small if not kept.get(shard["number"])]
    rows, rejected = (sum(shard[key] for shard in lost) for key in ("rows", "rejected"))
    together = _entry(
        ALARM,
        "empty_shard",
        f"shards of fewer than {SHARD_ROWS} rows",
        {"rows": rows, "rejected": rejected},
        f"{len(lost):,} of the {len(small):,} shards of fewer than {SHARD_ROWS} rows keep not one "
        f"of their {rows:,} rows.",
    )
    return [
        *([together] if rows >= GROUP_ROWS and 2 * len(lost) > len(small) else []),
        *_lost_shards(kept, listed),
    ]


def _lost_shards(kept: Mapping[int, int], listed: Sequence[Row]) -> list[Row]:
    """Return an alarm for each shard that is no small one and of which no row is kept."""
    return [
        _entry(
            ALARM,
            "empty_shard",
            shard["name"],
            {"rows": shard["rows"], "rejected": shard["rejected"]},
            f"Not one of the {shard['rows']:,} rows of shard {label(shard['name'])} is kept.",
        )
        for shard in listed
        if shard["rows"] >= SHARD_ROWS and not kept.get(shard["number"])
    ]


def _duplicates(totals: Row) -> Row:
    """Return the note that document ids are used more than once."""
    ids, rows = totals["duplicate_ids"], totals["rows_with_duplicate_id"]
    return _entry(
        NOTE,
        "duplicate_ids",
        "id",
        {"ids": ids, "documents": rows},
        f"{ids:,} document ids are used more than once, by {rows:,} documents in all. Nothing was "
        "dropped for it; rows are told apart by shard and row.",
    )


def differing_in_form(row: Row, normalize: str) -> list[Row]:
    """Return the note that some texts differ in form only; none where words are taken in NFKC.

    Args:
        row: the row of sql/report/forms.sql.
        normalize: the setting `text.normalize`.
    """
    if not row["documents"] or normalize == "nfkc":
        return []
    return [
        _entry(
            NOTE,
            "form",
            "text.normalize",
            dict(row),
            f"{row['documents']:,} documents have {row['texts']:,} texts that are {row['alike']:,} "
            "after NFKC folding (composed, full width, soft hyphens, non-breaking spaces). They "
            "are no exact copies, and may not count as near ones; text.normalize = nfkc makes "
            "their words the same.",
        )
    ]


def _skipped(name: str, why: str) -> Row:
    """Return the note that a file was left out."""
    return _entry(NOTE, "skipped_file", name, {}, f"File {label(name)} was left out: {why}")
