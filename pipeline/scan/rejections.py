"""A stop to a scan that rejects what was probably meant to be read."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard
from pipeline.corpus.columns import is_text
from pipeline.corpus.documents import CSV_FIELDS, CSV_QUOTE, INVALID_UTF8, NOT_JSON
from pipeline.engine.shards import active_shards
from pipeline.errors import InputError

NO_RECORDS = frozenset(
    {NOT_JSON, INVALID_UTF8, CSV_FIELDS, CSV_QUOTE}
)  # the file is not what its name says
MOST_DOCUMENTS = 2**32 - 1  # `windows` and `candidates` number them by 32 bits
FEW_ROWS = 10  # so many bad rows may be all that a file has
MOST_NAMED = 3
MOST_COLUMNS = 12


def require_documents(manifest: dict[str, Any], config: InputConfig) -> None:
    """Refuse to go on when most of a corpus, or all of one of its files, was rejected.

    And when there are more documents than the next stages have numbers for.

    A file counts if none of its lines is a record, or if it has ten rows or more; text files, each
    one row, do not. With `skip_bad_files` single files pass. All rejected rows are in rejected/.

    Args:
        manifest: of the run folder, after the sketch.
        config: how the corpus is read.

    Raises:
        InputError: When too much was rejected, and which setting to try; when there is too much.
    """
    entries = [entry for entry in manifest["corpus"]["shards"] if entry["active"]]
    rejected = sum(sum(entry["rejected"].values()) for entry in entries)
    documents = sum(entry["documents"] for entry in entries)
    if documents > MOST_DOCUMENTS:
        raise InputError(
            "The corpus has more documents than can be numbered.",
            where=f"{entries[0]['name']} and others",
            found=f"{documents:,} documents",
            expected=f"{MOST_DOCUMENTS:,} at most",
            fix="scan it in parts, and hold each against the ones before: minus.run",
        )
    rows = rejected + documents
    if rejected > config.most_rejected * rows:
        worst = max(entries, key=lambda entry: sum(entry["rejected"].values()))
        raise InputError(
            "Most rows of the corpus are no documents." if rejected < rows else "No row is left.",
            where=f"{worst['name']} and others" if len(entries) > 1 else worst["name"],
            found=f"{rejected:,} of {rows:,} rows rejected: {_reasons(entries)}",
            expected=f"at most {config.most_rejected:.0%} of the rows rejected",
            fix=f"{_advice(manifest, worst, config)}; or allow it: --set input.most_rejected=1",
        )
    lost = [entry for entry in entries if _is_lost(entry)]
    if lost and not config.skip_bad_files:
        names = ", ".join(entry["name"] for entry in lost[:MOST_NAMED])
        more = f" and {len(lost) - MOST_NAMED:,} more" if len(lost) > MOST_NAMED else ""
        raise InputError(
            f"All rows of {'a file' if len(lost) == 1 else f'{len(lost):,} files'} were rejected.",
            where=f"{names}{more}",
            found=_reasons(lost),
            expected="documents",
            fix=f"{_advice(manifest, lost[0], config)}; or go on without: --skip-bad-files",
        )


def _is_lost(entry: dict[str, Any]) -> bool:
    """Tell whether a file has no document, and enough rows that this is no chance."""
    reasons = entry["rejected"]
    if entry["documents"] or not reasons or entry["format"] == "text":
        return False
    return set(reasons) <= NO_RECORDS or sum(reasons.values()) >= FEW_ROWS


def _reasons(entries: list[dict[str, Any]]) -> str:
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry["rejected"])
    return ", ".join(f"{count:,} {reason}" for reason, count in total.most_common())


def _advice(manifest: dict[str, Any], entry: dict[str, Any], config: InputConfig) -> str:
    """Return what to try: another text column, or another file where no line is a record."""
    if entry["format"] == "csv" and INVALID_UTF8 in entry["rejected"]:
        return "name the encoding: --set input.csv_encoding=latin-1"
    if CSV_QUOTE in entry["rejected"]:
        return "a quote was left open; if the fields have none: --set input.csv_quote="
    if entry["format"] == "csv" and CSV_FIELDS in entry["rejected"]:
        named = "" if config.csv_separator else "--set 'input.csv_separator=|' names another; "
        return f"{named}a field that holds the separator needs quotes"
    if set(entry["rejected"]) <= NO_RECORDS:
        return f"repair or remove {entry['name']}: no line of it is a record"
    (shard,) = [one for one in active_shards(manifest) if one.number == entry["number"]]
    try:
        schema = check_shard(shard, config)
    except InputError:
        return "name the text column: --set input.text=NAME"
    names = [field.name for field in schema if is_text(field.type)]
    there = f" (there are: {', '.join(names[:MOST_COLUMNS])})" if names else ""
    return f"name the text column: --set input.text=NAME{there}"
