"""A tiny finished run, made by hand: one exact and one near copy, hostile text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.sections import Config, InputConfig
from pipeline.corpus import find_shards
from pipeline.engine.files import digest_file
from pipeline.engine.manifest import load_manifest, manifest_bytes
from pipeline.engine.stage import Work
from pipeline.engine.tables import conform, write_table
from schemas.filter.decisions import DECISIONS
from schemas.filter.documents import DOCUMENTS
from schemas.manifest import SCHEMA_VERSION
from schemas.scan.counts import COUNTS
from schemas.scan.pairs import PAIRS
from schemas.scan.rejected import rejected as rejected_schema
from schemas.scan.spans import SPANS
from schemas.scan.windows import WINDOWS
from schemas.score.risk import DOCUMENT_RISK, RISK

HOSTILE = (
    '<script>alert(\'x\')</script> " onmouseover="y" \u202egnp.exe\u202c \x00\x1b[31m '
    "mail root@example.org, key AKIAIOSFODNN7EXAMPLE " + "\u00e9" * 900
)
LONG = " ".join(f"word{n}" for n in range(60))
NEAR = LONG.replace("word30", "other")
CONFIG = Config(input=InputConfig(text=("text",), id="id", source="source"))
B = 1 << 40
SHARDS: dict[str, list[tuple[str, str | None, str]]] = {
    "a.parquet": [
        ("long", LONG, "site"),
        ("hostile", HOSTILE, "<b>site</b>"),
        ("nothing", None, "site"),
    ],
    "b.parquet": [
        ("copy", LONG, "site"),
        ("near", NEAR, "site"),
        ("twice", "a few words", "site"),
        ("twice", "a few more words", "site"),
    ],
}
CLUSTER = "0" * 32
OUTLOOK = {  # as the stage `risk` has it, of two models
    "epochs": 1,
    "order_agrees": 0.9789,
    "models": [
        {
            "parameters_in_all": total,
            "tokens": 20 * total,
            "half_dose": half,
            "half_dose_95": [half / 4, half * 5],
            "by_occurrences": [
                {"occurrences": "1", "sequences": 5_000, "recited_95": [0.1, 0.4]},
                {"occurrences": "2 to 3", "sequences": 400, "recited_95": [12.0, 340.0]},
            ],
        }
        for total, half in ((100_000_000, 120.0), (8_000_000_000, 65.0))
    ],
}

LEFT = [  # as the stage `decisions` has it: before the filter, and at the doses that it leaves
    {
        "documents": documents,
        "scored": scored,
        "risky": risky,
        "expected_tokens": tokens,
        "sequences": 400.0,
        "often": [{"times": 2, "sequences": often}, {"times": 16, "sequences": often / 2}],
    }
    for documents, scored, risky, tokens, often in ((6, 4, 3, 88.0, 120.0), (4, 2, 1, 24.0, 8.0))
]


def make_run(
    folder: Path, *, decided: bool = True, scored: bool = False, rejected: bool = False
) -> Work:
    """Write corpus and run folder; return the work of the report stage."""
    corpus, run = folder / "corpus", folder / "run"
    corpus.mkdir()
    for name, rows in SHARDS.items():
        ids, texts, sources = zip(*rows, strict=True)
        pq.write_table(
            pa.table({"id": ids, "text": pa.array(texts, pa.string()), "source": sources}),
            corpus / name,
        )
    documents = _documents()
    outputs: dict[str, Any] = {}

    def put(output: str, table: str, schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> None:
        with write_table(run, table, "all", schema) as out:
            out.write(conform(pa.Table.from_pylist(list(rows), schema=schema), schema))
        entry = outputs.setdefault(
            output,
            {
                "fingerprint": "",
                "digest": "",
                "rows_in": 0,
                "rows_out": 0,
                "facts": {},
                "files": [],
            },
        )
        entry["files"].append(dataclasses.asdict(out.record))

    put(
        "counts/all",
        "counts",
        COUNTS,
        [{key: row[key] for key in COUNTS.names} for row in documents],
    )
    put(
        "pairs/all",
        "pairs",
        PAIRS,
        [
            {
                "a": 0,
                "b": B + 1,
                "inter": 51,
                "union": 61,
                "size_a": 56,
                "size_b": 56,
                "jaccard": 51 / 61,
            },
        ],
    )
    put(
        "spans/all",
        "spans",
        SPANS,
        [
            {
                "row_key": key,
                "start_byte": 0,
                "end_byte": len(LONG),
                "words": 60,
                "max_count": 2,
                "documents": 2,
                "window": 7,
            }
            for key in (0, B)
        ],
    )
    put(
        "windows/all",
        "windows",
        WINDOWS,
        [
            {"row_key": n, "first_word": 0, "windows": 11, "occurrences": 2, "documents": 2}
            for n in range(2)
        ],
    )
    outputs["candidates/all"] = {
        "fingerprint": "",
        "digest": "",
        "rows_in": 0,
        "rows_out": 0,
        "files": [],
        "facts": {"candidates": 3, "capped_buckets": 0, "largest_bucket": 2},
    }
    if decided:
        put("documents/all", "documents", DOCUMENTS, documents)
        put("decisions/all", "decisions", DECISIONS, [_decision(row) for row in documents])
    if scored and decided:
        outputs["decisions/all"]["facts"] = {"left": LEFT}
    if scored:
        put("risk/all", "risk", RISK, [_risk(1, 0.75, "recited"), _risk(0, 0.01, "none")])
        put(
            "risk/all",
            "document_risk",
            DOCUMENT_RISK,
            [_document_risk(0, 0.01), _document_risk(1, 0.75), _document_risk(B, 0.01)],
        )
        outputs["risk/all"]["facts"] = {
            "fitted": True,
            "why_not": None,
            "rate": 0.125,
            "note": "<i>fitted</i>",
        }
    if rejected:
        record = pa.schema([("id", pa.string()), ("text", pa.string())])
        lost: dict[str, Any] = {"text": None, "reason": "null_text", "shard": "a.parquet", "row": 2}
        lost["record"] = {"id": "nothing", "text": None}
        put("sketch/g00000", "rejected", rejected_schema(record), [lost])
    shards, _ = find_shards([str(corpus)])
    entries = [
        {
            **dataclasses.asdict(shard),
            "active": True,
            "content_digest": "",
            "documents": documents_in,
            "rejected": rejected,
        }
        for shard, documents_in, rejected in zip(
            shards, (2, 4), ({"null_text": 1}, {}), strict=True
        )
    ]
    manifest = {
        "rote": SCHEMA_VERSION,
        "version": "0.1.0",
        "unicode": "14.0.0",
        "scan": 1,
        "config": CONFIG.model_dump(mode="json", exclude={"limits"}),
        "corpus": {"roots": [str(corpus)], "skipped": {}, "shards": entries},
        "outputs": outputs,
    }
    (run / "manifest.json").write_bytes(manifest_bytes(manifest))
    tables: dict[str, list[str]] = {}
    for entry in outputs.values():
        for record in entry["files"]:
            tables.setdefault(record["table"], []).append(record["path"])
    names = {table: tuple(paths) for table, paths in tables.items()}
    return Work("report", "all", run, CONFIG, tuple(shards), names, cores=1, memory=1 << 30)


def recorded(work: Work, table: str) -> None:
    """Enter a table's file, which a test wrote anew, into the manifest."""
    place = work.folder / "manifest.json"
    manifest = load_manifest(work.folder)
    for entry in manifest["outputs"].values():
        for record in entry["files"]:
            if record["table"] == table:
                path = work.paths(table)[0]
                record.update(bytes=path.stat().st_size, digest=digest_file(path))
    place.write_bytes(manifest_bytes(manifest))


def compared_with(work: Work, other: Path, **settings: Any) -> Work:
    """Return the work of a report that is held against another run, with other report settings."""
    own = work.config.report.model_copy(update={"against": str(other), **settings})
    return dataclasses.replace(work, config=work.config.model_copy(update={"report": own}))


def _documents() -> list[dict[str, Any]]:
    rows = []
    for number, (shard, entries) in enumerate(SHARDS.items()):
        for place, (doc_id, text, source) in enumerate(entries):
            if text is not None:
                rows.append(_document(number * B + place, doc_id, shard, text, source))
    return rows


def _document(row_key: int, doc_id: str, shard: str, text: str, source: str) -> dict[str, Any]:
    digest = blake2b(text.encode(), digest_size=16).digest()
    exact = 2 if text == LONG else 1
    copies = {B: (0, "long", "exact", 1.0), B + 1: (0, "long", "near", 51 / 61)}
    keeper, keeper_doc_id, method, jaccard = copies.get(row_key, (None, None, None, None))
    near = text in (LONG, NEAR)
    return {
        "row_key": row_key,
        "doc_id": doc_id,
        "shard": shard,
        "row": row_key % B,
        "source": source,
        "split": None,
        "source_group": source,
        "priority": None,
        "priority_rest": 0.0,
        "text_bytes": len(text.encode()),
        "words": len(text.split()),
        "symbols": "",
        "text_hash": digest,
        "representative": 0 if text == LONG else row_key,
        "exact_count": exact,
        "effective_count": float(exact),
        "near_capped": False,
        "family": digest.hex(),
        "max_window_count": exact if near else 0,
        "repeated_words": 60 if text == LONG else 0,
        "near_count": 3 if near else 1,
        "cluster": CLUSTER if near else digest.hex(),
        "keeper": keeper,
        "keeper_doc_id": keeper_doc_id,
        "method": method,
        "jaccard": jaccard,
        "score": jaccard,
        "measure": method and "jaccard",
    }


def _decision(row: dict[str, Any]) -> dict[str, Any]:
    method = row["method"]
    return {
        "row_key": row["row_key"],
        "action": "keep" if method is None else "drop",
        "rule": method and "drop-copies",
        "reason": method and f"{method}_copy",
        "keeper": row["keeper"],
    }


def _risk(row_key: int, risk: float, kind: str) -> dict[str, Any]:
    return {
        "row_key": row_key,
        "start_byte": 0,
        "end_byte": 40,
        "risk": risk,
        "risk_low": risk / 2,
        "risk_high": 0.9,
        "basis": "unseen",
        "extrapolated": False,
        "kind": kind,
    }


def _document_risk(row_key: int, risk: float) -> dict[str, Any]:
    return {
        "row_key": row_key,
        "risk": risk,
        "risk_low": risk / 2,
        "risk_high": 0.9,
        "kind": "none",
        "extrapolated": False,
        "expected_tokens": risk * 32,
        "scored_share": 0.5,
    }
