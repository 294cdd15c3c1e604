"""Why a document stayed or went, in words for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.corpus import Shard
from pipeline.errors import InputError, IntegrityError
from pipeline.inventory import active_shards
from pipeline.query import run as query
from pipeline.report.differences import differences
from pipeline.report.quotes import label, quote, read_texts
from pipeline.store import load_manifest

MOST_ROWS = 5
MOST_CLOSE = 3
MOST_SPANS = 3
MOST_PAIRS = 3
WIDTH = 98

Row = dict[str, Any]

_REASONS = {
    "exact_copy": "an exact copy",
    "near_copy": "a near copy",
    "contained": "contained in a longer document",
    "risk": "too likely to be memorized",
}


@dataclass(frozen=True)
class _Run:
    """What an explanation reads: the tables of a finished run, and the shards for a few quotes."""

    config: Config
    shards: tuple[Shard, ...]
    tables: dict[str, list[Path]]

    def rows(self, name: str, tables: Sequence[str], **params: object) -> list[Row]:
        """Return the rows of a query over tables of the run; none where a table is missing."""
        if not all(self.tables.get(table) for table in tables):
            return []
        return list(
            query(name, {table: self.tables[table] for table in tables}, params).to_pylist()
        )


def explain(folder: Path, doc_id: str, stale: Collection[str] = ()) -> str:
    """Return the explanation of every row that carries `doc_id`, or of the row `shard#row`.

    stale: tables of the run that are older than its last scan; they are left out, and the text says
    so. Raises InputError for an unknown id, with up to three ids that resemble it.
    """
    run = _open(folder, stale)
    shard, _, number = doc_id.rpartition("#")
    row = int(number) if number.isascii() and number.isdigit() and len(number) <= 12 else None
    found = run.rows(
        "explain_find",
        ["counts"],
        doc_id=doc_id,
        shard=shard or None,
        shard_row=row,
        most=MOST_ROWS + 1,
    )
    if not found:
        raise _unknown(run, folder, doc_id)
    texts = dict(_texts(run, found[:MOST_ROWS]))
    told = [_document(run, one, texts) for one in found[:MOST_ROWS]]
    if len(found) > 1:
        more = f"More than {MOST_ROWS}" if len(found) > MOST_ROWS else f"{len(found)}"
        told.insert(0, f"{more} rows carry this id; name one of them as shard#row.")
    return "\n\n\n".join(told)


def _open(folder: Path, stale: Collection[str]) -> _Run:
    manifest = load_manifest(folder)
    tables: dict[str, list[Path]] = {}
    for _, entry in sorted(manifest["outputs"].items()):
        for record in entry["files"]:
            if record["table"] not in stale:
                tables.setdefault(record["table"], []).append(folder / record["path"])
    if "counts" not in tables:
        raise InputError(
            "This run folder has no counts yet.",
            where=str(folder),
            fix="finish the scan: rote scan CORPUS... --out RUN",
        )
    return _Run(Config.model_validate(manifest["config"]), tuple(active_shards(manifest)), tables)


def _unknown(run: _Run, folder: Path, doc_id: str) -> InputError:
    close = run.rows("explain_close", ["counts"], doc_id=doc_id, most=MOST_CLOSE)
    names = ", ".join(label(row["doc_id"]) for row in close)
    return InputError(
        "No document of this run carries that id.",
        where=str(folder),
        found=label(doc_id),
        expected=f"for example {names}"
        if names
        else "an id of the corpus, or shard#row (a rejected row has neither)",
        fix="look for it in kept/, removed/ or rejected/",
    )


def _texts(run: _Run, found: Sequence[Row]) -> Iterator[tuple[int, str]]:
    """Yield the texts of the rows and of their keepers."""
    keys = {row["row_key"] for row in found}
    for row in found:
        row["decision"] = next(
            iter(run.rows("explain_decision", ["documents", "decisions"], row_key=row["row_key"])),
            None,
        )
        if row["decision"] and row["decision"]["keeper"] is not None:
            keys.add(row["decision"]["keeper"])
    return read_texts(run.shards, run.config, keys)


def _document(run: _Run, row: Row, texts: dict[int, str]) -> str:
    text = texts.get(row["row_key"])
    head = f"{label(row['doc_id'])}\n" + _wrapped(
        f"{_where(row)}; {row['text_bytes']:,} bytes, {row['words']:,} words", 2
    )
    parts = [
        head,
        *_decision(run, row, texts),
        _counts(run, row),
        _spans(run, row, text),
        _risk(run, row, text),
    ]
    return "\n\n".join(part for part in parts if part)


def _where(row: Row) -> str:
    source = f"; source {label(row['source'])}" if row["source"] is not None else ""
    return f"{label(row['shard'])}, row {row['shard_row']:,}{source}"


def _decision(run: _Run, row: Row, texts: dict[int, str]) -> list[str]:
    decision = row["decision"]
    if decision is None:
        return [
            "NOT DECIDED\n"
            + _wrapped("The filter has not run on these counts; `rote filter RUN` decides.", 2)
        ]
    if decision["action"] != "drop":
        return [_kept(run, row, decision)]
    reason = _REASONS.get(decision["reason"], str(decision["reason"]))
    lines = [f"REMOVED as {reason} (rule {decision['rule']})"]
    if decision["keeper"] is None:
        return ["\n".join(lines)]
    keeper = _one(run, decision["keeper"])
    lines += [
        _wrapped(f"what stays: {label(keeper['doc_id'])} ({_where(keeper)})", 2),
        _wrapped(f"proof: {_proof(run, row, keeper, decision)}", 2),
    ]
    both = texts.get(row["row_key"]), texts.get(decision["keeper"])
    return ["\n".join(lines), differences(both[0], both[1])]


def _kept(run: _Run, row: Row, decision: Row) -> str:
    stands = decision["rows_standing_for"]
    lines = ["KEPT"]
    if stands:
        lines.append(_wrapped(f"It stays in the place of {_number(stands, 'removed row')}.", 2))
    near = run.rows(
        "explain_pairs", ["pairs", "counts"], representative=row["representative"], most=MOST_PAIRS
    )
    lines += [
        _wrapped(
            f"{'closest other text' if place == 0 else 'then'}: {label(pair['doc_id'])}, exact "
            f"Jaccard {pair['jaccard']:.4f} ({pair['inter']:,} of {pair['total']:,} shingles)",
            2,
        )
        for place, pair in enumerate(near)
    ]
    if not near and not stands and row["exact_count"] == 1:
        threshold = run.config.near.count_threshold
        lines.append(_wrapped(f"No other text reaches Jaccard {threshold:g} with it.", 2))
    return "\n".join(lines)


def _one(run: _Run, row_key: int) -> Row:
    found = run.rows("explain_keeper", ["counts"], row_key=row_key)
    if not found:
        raise IntegrityError(
            "A keeper is not among the documents.",
            where="decisions",
            found=str(row_key),
            fix="run `rote filter` on this folder again",
        )
    return found[0]


def _proof(run: _Run, row: Row, keeper: Row, decision: Row) -> str:
    if row["representative"] == keeper["representative"]:
        return "the same bytes of text (128-bit hash)"
    if decision["method"] == "contained":
        return _containment(run, row, keeper, decision)
    a, b = sorted((row["representative"], keeper["representative"]))
    pair = run.rows("explain_proof", ["pairs"], a=a, b=b)
    if not pair:
        score = decision["score"]
        return f"exact Jaccard {score:.4f}" if score is not None else "none recorded"
    return (
        f"exact Jaccard {pair[0]['jaccard']:.4f}: {pair[0]['inter']:,} shingles in both of "
        f"{pair[0]['total']:,} in either; the threshold is {run.config.near.threshold:g}"
    )


def _containment(run: _Run, row: Row, keeper: Row, decision: Row) -> str:
    """Say which share of a removed text's shingles the longer one has."""
    ends = {"document": row["representative"], "container": keeper["representative"]}
    found = run.rows("explain_contained", ["contained"], **ends)
    told = f"contained in it with {decision['score']:.1%} of its shingles"
    if found:
        told += f" ({found[0]['inter']:,} of {found[0]['total']:,})"
    return f"{told}; the threshold is {run.config.near.containment:g}"


def _counts(run: _Run, row: Row) -> str:
    window = run.config.window.words
    lines = [f"This exact text occurs {_times(row['exact_count'])}."]
    if row["decision"] is not None:
        near = row["decision"]["near_count"] - row["exact_count"]
        bound = " or more" if row["near_capped"] else ""
        verb = "is a near copy" if near == 1 else "are near copies"
        lines.append(
            f"{_number(near, 'document')}{bound} {verb} of it; its cluster holds "
            f"{_number(row['decision']['members'], 'document')}."
        )
    if row["max_window_count"] > 1:
        share = row["repeated_words"] / row["words"]
        lines.append(
            f"Its most repeated window of {window} words occurs {_times(row['max_window_count'])}."
        )
        lines.append(
            f"{share:.0%} of its words ({row['repeated_words']:,} of {row['words']:,}) lie in "
            "repeated windows."
        )
    elif row["words"] < window:
        lines.append(f"It is shorter than a window of {window} words.")
    else:
        lines.append(f"No window of {window} words in it occurs twice.")
    return "\n".join(["Counts", *(_wrapped(line, 2) for line in lines)])


def _spans(run: _Run, row: Row, text: str | None) -> str:
    spans = run.rows("explain_spans", ["spans"], row_key=row["row_key"], most=MOST_SPANS)
    if not spans:
        return ""
    total = spans[0]["spans"]
    lines = [
        f"Repeated spans ({total:,})"
        if total <= MOST_SPANS
        else f"Repeated spans ({MOST_SPANS} of {total:,})"
    ]
    for span in spans:
        lines.append(
            _wrapped(
                f"bytes {span['start_byte']:,} to {span['end_byte']:,}: {span['words']:,} words, "
                f"up to {_times(span['occurrences'])} in {_number(span['documents'], 'document')}",
                2,
            )
        )
        if text is not None:
            lines.append(_passage(text, span))
    return "\n".join(lines)


def _passage(text: str, at: Row) -> str:
    left, right = "\N{LEFT DOUBLE QUOTATION MARK}", "\N{RIGHT DOUBLE QUOTATION MARK}"
    return _wrapped(f"{left}{quote(text, at['start_byte'], at['end_byte'])}{right}", 4)


def _risk(run: _Run, row: Row, text: str | None) -> str:
    if not run.tables.get("risk"):
        return "Risk\n  not scored; `rote score RUN` makes a forecast"
    found = run.rows(
        "explain_risk",
        ["risk", "document_risk"],
        row_key=row["row_key"],
        representative=row["representative"],
    )
    if not found:
        return "Risk\n  none of its sequences was scored (too short, or not in the sample)"
    risk = found[0]
    if risk["risk"] is None:
        return "Risk\n  no forecast: too little was memorized by the proxies to fit one"
    lines = [
        (
            f"{risk['risk']:.3f} (95% interval {_decimals(risk['risk_low'])} to "
            f"{_decimals(risk['risk_high'])}), "
            f"{'' if risk['kind'] in (None, 'none') else risk['kind'] + ', '}from text that the "
            f"proxies had{'' if risk['basis'] == 'seen' else ' not'} seen"
        ),
        (
            f"{risk['expected_tokens']:,.1f} tokens expected to be memorized; "
            f"{risk['scored_share']:.0%} of its sequences were scored"
        ),
    ]
    if risk["extrapolated"]:
        lines.append(
            "The target is far larger than any proxy: read this as a rank, not as a probability."
        )
    told = ["Risk", *(_wrapped(line, 2) for line in lines)]
    if text is not None:
        told.append(_passage(text, risk))
    return "\n".join(told)


def _wrapped(text: str, indent: int) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_on_hyphens=False,
    )


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _decimals(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
