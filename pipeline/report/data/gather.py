"""The data of report.json, which the page shows: aggregates, top lists, a few quotes.

No table is ever held as Python objects; what is read back is at most a few hundred rows, so that
the report of ten million documents is as small as that of ten thousand. Numbers only: no clock, no
folder of this machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.engine.query import Limits
from pipeline.engine.query import limits as query_limits
from pipeline.engine.query import run as query
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row
from pipeline.errors import IntegrityError
from pipeline.report.data.alarms import (
    ALARM,
    MOST_CLUSTERS,
    canary_alarm,
    differing_in_form,
    judge,
    shard_rows,
    sources_params,
)
from pipeline.report.data.apart import apart, apart_rows
from pipeline.report.data.assumptions import assumptions
from pipeline.report.data.backtest import backtest
from pipeline.report.data.comparison import against
from pipeline.report.data.contamination import contamination
from pipeline.report.data.endings import endings
from pipeline.report.data.excerpts import TOP, add_excerpts
from pipeline.report.data.forecast import forecast
from pipeline.report.data.headline import forecast_facts, is_order
from pipeline.report.data.order import as_order
from pipeline.report.data.other_values import other_values
from pipeline.report.data.personal import personal
from pipeline.report.data.priorities import first, removed
from pipeline.report.data.provenance import provenance
from pipeline.report.data.signals import mitigations, signals
from pipeline.scan.shingle_sets import at_least

SPANS_TRIED = 5 * TOP
MOST_SOURCES = 60
MOST_SHARDS = 40
MEMBER_SOURCES = 6
BINS = 50

_REMOVALS = (
    ("exact_copy", "exact copies removed", "the same bytes as a document that stays"),
    (
        "near_copy",
        "near copies removed",
        "exact Jaccard with a document that stays reaches the threshold",
    ),
    (
        "contained",
        "contained, removed",
        "the share of its shingles in a longer document that stays reaches near.containment",
    ),
    ("risk", "removed for risk", "forecast risk above the rule's limit"),
    ("contaminated", "with an evaluation item, removed", "they hold an item, word for word"),
    ("personal", "with personal data, removed", "they hold policy.personal finds or more"),
    ("held", "held by the other run, removed", "minus.run has the text, a near copy or more of it"),
)
_TOLD_WHEN_ANY = frozenset({"contained", "contaminated", "personal", "held"})  # off by default


def gather(work: Work, manifest: Mapping[str, Any]) -> Row:
    """Return the whole of report.json; row keys are strings, for JSON holds no uint64."""
    limits = query_limits(work)
    documents, decisions = work.paths("documents"), work.paths("decisions")
    both = {"documents": documents, "decisions": decisions}
    window = work.config.window.words
    totals = query(
        "report/totals", {"documents": documents}, {"window_words": window}, limits=limits
    ).to_pylist()[0]
    sources = query("report/sources", both, sources_params(MOST_SOURCES), limits=limits).to_pylist()
    hidden = apart_rows(work, limits)
    clusters = query(
        "report/clusters", {**both, "apart": hidden}, {"top": MOST_CLUSTERS}, limits=limits
    ).to_pylist()
    shards = query("report/shards", both, limits=limits).to_pylist()
    listed = shard_rows(manifest)
    judged = [row for row in sources if row["source_group"] not in work.config.report.apart]
    raised = judge(totals, judged, clusters, shards, _current(manifest, work))
    raised += canary_alarm(documents, limits)
    if paths := work.paths("signatures"):
        forms = query("report/forms", {"signatures": paths}, limits=limits).to_pylist()[0]
        raised += differing_in_form(forms, work.config.text.normalize)
    data = {
        "rote": {key: manifest.get(key) for key in ("version", "unicode", "scan")}
        | {"schema": manifest.get("rote")},
        "config": work.config.model_dump(
            mode="json",
            exclude={
                "limits": True,
                "report": {"against"},
                "decontaminate": {"files"},
                "minus": True,
            },
        ),
        "provenance": provenance(work, manifest),
        "corpus": _corpus(totals, listed),
        "alarms": [entry for entry in raised if entry["level"] == ALARM],
        "notes": [entry for entry in raised if entry["level"] != ALARM],
        "funnel": _funnel(query("report/funnel", both, limits=limits).to_pylist(), listed),
        "first": first(work, limits, order=is_order(forecast_facts(manifest)[0])),
        "removed": removed(work, manifest, limits),
        "leakage": _documents_facts(manifest).get("leakage", []),
        "spared_for_symbols": _documents_facts(manifest).get("spared_for_symbols", 0),
        "stable_otherwise": _documents_facts(manifest).get("stable_otherwise"),
        "other_values": other_values(work),
        "endings": endings(work, limits),
        "contamination": contamination(work, manifest, limits),
        "personal": personal(work, hidden, limits),
        "apart": apart(work, limits),
        "sources": _sources(sources),
        "shards": _first_shards(_shards(shards, listed), MOST_SHARDS),
        "rejected": _rejected(listed),
        "copies": _copies(
            query("report/copies", {"documents": documents}, limits=limits).to_pylist()
        ),
        "clusters": _clusters(clusters[:TOP], work, limits),
        "spans": _spans(work, hidden, limits),
        "pairs": _pairs(work, limits),
        "candidates": _candidates(manifest),
        "risk": forecast(work, manifest, hidden, limits),
        "signals": signals(work, manifest),
        "mitigations": mitigations(work, manifest),
        "backtest": backtest(work.folder),
        "assumptions": assumptions(totals["windows"], work.config),
    }
    add_excerpts(data, work, limits)
    data["changes"] = against(work, manifest, data, limits)
    return as_order(data)


def _current(manifest: Mapping[str, Any], work: Work) -> Mapping[str, Any]:
    """Return the manifest without a forecast of before, where that is no longer current."""
    if work.paths("risk"):
        return manifest
    outputs = {name: entry for name, entry in manifest["outputs"].items() if name != "risk/all"}
    return {**manifest, "outputs": outputs}


def _documents_facts(manifest: Mapping[str, Any]) -> Row:
    """Return what the stage `documents` noted besides its table."""
    return dict(manifest["outputs"].get("documents/all", {}).get("facts", {}))


def _corpus(totals: Row, listed: Sequence[Row]) -> Row:
    """Return `corpus` of report.json: the totals of the corpus.

    Raises:
        IntegrityError: When the rows of the shards do not add up.
    """
    rows, rejected = (sum(shard[key] for shard in listed) for key in ("rows", "rejected"))
    if rows != rejected + totals["documents"]:
        raise IntegrityError(
            "The rows of the shards do not add up.",
            where="documents",
            found=f"{totals['documents']} documents and {rejected} rejected rows",
            expected=f"{rows} rows read",
            fix="run `rote run` again with --verify",
        )
    file_bytes = sum(shard["bytes"] for shard in listed)
    return {
        "shards": len(listed),
        "file_bytes": file_bytes,
        "rows": rows,
        "rejected": rejected,
        **totals,
    }


def _funnel(groups: Sequence[Row], listed: Sequence[Row]) -> list[Row]:
    """Return `funnel` of report.json: the steps from rows read to rows kept.

    Raises:
        IntegrityError: When the steps do not add up.
    """
    dropped: dict[str, Row] = {reason: {"rows": 0, "text_bytes": 0} for reason, _, _ in _REMOVALS}
    kept = {"rows": 0, "text_bytes": 0}
    for group in groups:
        into = dropped.setdefault(str(group["reason"]), {"rows": 0, "text_bytes": 0})
        into = into if group["action"] == "drop" else kept
        into["rows"] += group["documents"]
        into["text_bytes"] += group["text_bytes"]
    read, rejected = (sum(shard[key] for shard in listed) for key in ("rows", "rejected"))
    named = {reason: (title, meaning) for reason, title, meaning in _REMOVALS}
    steps = [
        {
            "step": "read",
            "title": "rows read",
            "meaning": "every row of every shard",
            "rows": read,
            "text_bytes": None,
        },
        {
            "step": "rejected",
            "title": "rejected",
            "meaning": "no usable text; written to rejected/",
            "rows": rejected,
            "text_bytes": None,
        },
        *(
            {
                "step": reason,
                "title": named.get(reason, (f"removed: {reason}", ""))[0],
                "meaning": named.get(reason, ("", "removed by a rule"))[1],
                **sums,
            }
            for reason, sums in dropped.items()
            if sums["rows"] or reason in named.keys() - _TOLD_WHEN_ANY
        ),
        {"step": "kept", "title": "kept", "meaning": "written to kept/ with their counts", **kept},
    ]
    if sum(step["rows"] for step in steps[1:]) != read:
        raise IntegrityError(
            "The rows of the funnel do not add up.",
            where="decisions",
            found=str(sum(step["rows"] for step in steps[1:])),
            expected=str(read),
        )
    return steps


def _sources(rows: Sequence[Row]) -> Row:
    """Return `sources` of report.json: the groups that are told apart, and the others as one."""
    others = next((row for row in rows if row["source_group"] is None), None)
    shown = [row for row in rows if row["source_group"] is not None]
    return {"count": sum(row["groups"] for row in rows), "shown": shown, "others": others}


def _first_shards(rows: Sequence[Row], most: int) -> Row:
    """Return `shards` of report.json: the first `most` shards, and the others added up."""
    rest = rows[most:]
    added = ("rows", "rejected", "documents", "kept", "text_bytes")
    others = {key: sum(row[key] for row in rest) for key in added} if rest else None
    return {"count": len(rows), "shown": list(rows[:most]), "others": others}


def _shards(found: Sequence[Row], listed: Sequence[Row]) -> list[Row]:
    """Return each shard with its rows, documents and rows kept."""
    by_number = {row["number"]: row for row in found}
    nothing = {"kept": 0, "documents": 0, "text_bytes": 0}
    return [
        {key: shard[key] for key in ("number", "name", "rows", "rejected")}
        | {key: by_number.get(shard["number"], nothing)[key] for key in nothing}
        for shard in listed
    ]


def _rejected(listed: Sequence[Row]) -> list[Row]:
    """Return `rejected` of report.json: rows by the reason of their rejection."""
    reasons: Counter[str] = Counter()
    for shard in listed:
        reasons.update(shard["reasons"])
    return [
        {"reason": reason, "rows": rows}
        for reason, rows in sorted(reasons.items(), key=lambda x: (-x[1], x[0]))
    ]


def _copies(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return `copies` of report.json: documents by how often they occur, in powers of two."""
    found: dict[str, list[Row]] = {"exact_count": [], "near_count": [], "max_window_count": []}
    for row in rows:
        k = row.pop("bucket")
        low, high = (0, 0) if k < 0 else ((1 << (k - 1)) + 1 if k else 1, 1 << k)
        found[row.pop("measure")].append({"from": low, "to": high, **row})
    return found


def _clusters(largest: list[Row], work: Work, limits: Limits) -> list[Row]:
    """Return `clusters` of report.json: the largest, with the source groups of their members."""
    documents = {"documents": work.paths("documents")}
    names = [row["cluster"] for row in largest]
    members = (
        query("report/members", documents, {"clusters": names}, limits=limits).to_pylist()
        if names
        else []
    )
    for row in largest:
        groups = [m for m in members if m["cluster"] == row["cluster"]]
        row["sources"] = [
            {key: m[key] for key in ("source_group", "members")} for m in groups[:MEMBER_SOURCES]
        ]
        row["more_sources"] = max(0, len(groups) - MEMBER_SOURCES)
    return largest


def _spans(work: Work, hidden: pa.Table, limits: Limits) -> Row:
    """Return `spans` of report.json: the windows that repeat, and the worst passages.

    Args:
        work: the unit of work of the report.
        hidden: row_key of the documents that the list of passages leaves out.
        limits: of DuckDB.
    """
    top: list[Row] = []
    if work.paths("spans"):
        top = query(
            "report/spans",
            {name: work.paths(name) for name in ("spans", "decisions")} | {"apart": hidden},
            {"top": SPANS_TRIED},
            limits=limits,
        ).to_pylist()
    windows = None
    if work.paths("windows"):
        windows = query(
            "report/windows", {"windows": work.paths("windows")}, limits=limits
        ).to_pylist()[0]
    return {"windows": windows, "top": top}


def _pairs(work: Work, limits: Limits) -> Row:
    """Return `pairs` of report.json: verified pairs by Jaccard, and how many were missed.

    Each pair stands for (1 - p) / p more that the bands did not propose, p their chance to propose
    it.
    """
    rows = []
    if work.paths("pairs"):
        top, bottom = at_least(work.config.near.threshold)
        params = {"bins": BINS, "numerator": top, "denominator": bottom}
        rows = query(
            "report/pairs", {"pairs": work.paths("pairs")}, params, limits=limits
        ).to_pylist()
    found = {row["bucket"]: row["pairs"] for row in rows}
    first = min(found, default=BINS)
    bands, values = work.config.sketch.bands, work.config.sketch.rows
    bins = []
    for k in range(first, BINS + 1):
        jaccard = min(1.0, (k + 0.5) / BINS) if k < BINS else 1.0
        chance = 1.0 - (1.0 - jaccard**values) ** bands
        missed = found.get(k, 0) * (1.0 - chance) / chance
        bins.append(
            {
                "from": k / BINS,
                "pairs": found.get(k, 0),
                "chance": round(chance, 6),
                "missed": round(missed, 3),
            }
        )
    return {
        "pairs": sum(found.values()),
        "near": sum(row["near"] for row in rows),
        "bins": bins,
        "missed": round(sum(b["missed"] for b in bins), 1),
    }


def _candidates(manifest: Mapping[str, Any]) -> Row:
    """Return `candidates` of report.json: the facts of the search."""
    return dict(manifest["outputs"].get("candidates/all", {}).get("facts", {}))
