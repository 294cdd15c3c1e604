"""What `rote audit` says: sums in words for a terminal, or as JSON, and the table of all texts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flows.written import written
from pipeline.inspect.audit import Audit
from pipeline.inspect.audit_sums import LONG_RUN, Distance, Share, TextSet
from pipeline.report.html.phrases import number, wrapped
from pipeline.report.quotes.quotes import label
from schemas.inspect.audited import AUDITED


def as_json(audit: Audit) -> str:
    """Return the sums of an audit as JSON in ASCII: a name may hold what a terminal obeys."""
    told = {
        "words": audit.words,
        "long_run": LONG_RUN,
        "corpus_documents": audit.corpus_documents,
        "changed_shards": audit.changed_shards,
        "files": [dataclasses.asdict(file) for file in audit.files],
        "sets": [dataclasses.asdict(one) for one in audit.sets],
        "distance": dataclasses.asdict(audit.distance) if audit.distance else None,
    }
    return json.dumps(told, indent=1)


def in_words(audit: Audit) -> str:
    """Return the sums of an audit in words; names are escaped, no text is shown."""
    texts = sum(file.rows for file in audit.files)
    bad = sum(file.rejected for file in audit.files)
    more = f" ({number(bad, 'row')} without a text left out)" if bad else ""
    head = (
        f"{number(texts, 'row')} of {number(len(audit.files), 'file')}{more} held against "
        f"{number(audit.corpus_documents, 'document')}, by runs of {audit.words} words"
    )
    lines = [head]
    if audit.changed_shards:
        files = number(audit.changed_shards, "file")
        lines.append(wrapped(f"{files} of the corpus changed since the scan; this tells of it.", 2))
    lines += ["", _HEAD, *map(_line, audit.sets), "", *_NOTES]
    if audit.distance:
        lines += ["", *_distance(audit.distance)]
    return "\n".join(lines)


_HEAD = (
    f"{'texts':>9}  {'words covered (95%)':<22} {'with a run':>10}  {'a run of 50 (95%)':<22} set"
)
_NOTES = (
    wrapped(
        "words covered: in runs that occur in the corpus, of a shorter text the whole of it; a run "
        f"of {LONG_RUN}: of the texts that have so many words.",
        2,
    ),
)


def _line(one: TextSet) -> str:
    """Return the line of one set."""
    split = f" ({one.split})" if one.split else ""
    name = f"{label(one.file)}: {label(one.field)}{split}" if one.file else "all"
    long = _share(one.long_runs) if one.long_runs else "-"
    return f"{one.texts:>9,}  {_share(one.covered):<22} {one.with_run:>10,}  {long:<22} {name}"


def _share(share: Share) -> str:
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def _distance(told: Distance) -> list[str]:
    """Return the memorization distance beside that of the corpus's own documents."""
    left_out = f"{told.held_out:,} documents of the corpus, left out"
    rows = (
        ("", "by Jaccard", "by containment"),
        (f"these {told.texts:,} texts", _mean(told.by_jaccard), _mean(told.by_containment)),
        (left_out, _mean(told.held_out_by_jaccard), _mean(told.held_out_by_containment)),
    )
    lines = ["Memorization distance (mean over the texts of the least 1 - similarity)"]
    lines += [f"  {name:<38} {near:>11} {inside:>15}" for name, near, inside in rows]
    note = (
        f"Each document of the corpus is cut to {told.held_out_words:,} words, the median of the "
        "texts, and compared with all others, copies of it too. A smaller distance than theirs "
        "means texts that are nearer to the corpus than it is to itself."
    )
    return [*lines, wrapped(note, 2)]


def _mean(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def is_table(path: Path) -> bool:
    """Tell whether a file is the table of an audit."""
    try:
        return (pq.read_schema(path).metadata or {}).get(b"table") == b"audited"
    except (OSError, pa.ArrowInvalid):
        return False


def write_table(audit: Audit, path: Path) -> None:
    """Write the table of all texts, whole or not at all.

    Raises:
        ConfigError: When it cannot be written there.
    """
    with written("--out", path) as place:
        pq.write_table(audit.table.cast(AUDITED), place, compression="zstd")
