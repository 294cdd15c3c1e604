"""Restore or forget rows that people name. The manifest of the run lists both.

Rows are named by their id, or as shard#row. A restored row is known by its key and the hash of its
text, so that another text in its place is not restored. A row to forget is known by the hash alone,
so that the text stays out of later scans as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import Config
from pipeline.engine.forgotten import FORGOTTEN
from pipeline.engine.memory import workers_of
from pipeline.engine.query import run as query
from pipeline.engine.run_folder import RunFolder, noted, open_run, read_run
from pipeline.engine.sound import require_sound
from pipeline.engine.tables import Row, read_table
from pipeline.errors import ConfigError
from pipeline.filter.near_texts import near_documents
from pipeline.names import meanings
from pipeline.report.quotes.quotes import label
from pipeline.text.sorting import among
from schemas.filter.decisions import DECISIONS
from schemas.scan.counts import COUNTS

RESTORED = "restored"  # key of the manifest
MOST_NAMED = 5  # names in a message
MOST_SHOWN = 20  # forgotten rows that are named
WANTED = pa.schema([(name, pa.string()) for name in ("name", "id", "place")])
OUTDATED = ("report/all", "seal/all")  # outputs that still describe a text to forget


@dataclass(frozen=True)
class Taken:
    """What is to be forgotten: the texts, and the rows that have them.

    Attributes:
        texts: the hash of each text as hex, and whether it was named.
        rows: row_key, doc_id, place and whether its text was named, of each row in order.
        named: keys of the rows that were named themselves; others of their text are copies.
        report: whether there is a report, which may quote them.
    """

    texts: dict[str, bool]
    rows: list[Row]
    named: frozenset[int]
    report: bool

    def lines(self, *, dry_run: bool = False) -> list[str]:
        """Return in words what it is, with the names of the first rows."""
        named = sum(self.texts.values())
        near = len(self.texts) - named
        head = (
            f"{'would forget' if dry_run else 'forgetting'} {len(self.texts):,} texts in "
            f"{len(self.rows):,} rows: {named:,} named and "
            f"{near:,} near copies, all documents compared by exact Jaccard"
        )
        shown = [
            f"  {self._why(row):<5}  {label(row['doc_id'])} ({label(row['place'])})"
            for row in self.rows[:MOST_SHOWN]
        ]
        more = len(self.rows) - len(shown)
        rest = [f"  and {more:,} more rows; removed/ will have the keys of all"] if more else []
        if self.report:
            goes = "would be deleted" if dry_run else "is deleted"
            rest.append(f"the report, which may quote them, {goes}: rote report makes it anew")
        return [head, *shown, *rest]

    def _why(self, row: Row) -> str:
        """Return why a row is forgotten: it was named, or it copies one that was, or nearly."""
        if row["row_key"] in self.named:
            return "named"
        return "copy" if row["named"] else "near"


def restore(out: Path, names: Sequence[str], *, undo: bool = False) -> int:
    """Enter rows that stay whatever the rules say, and return how many; the next filter obeys.

    Args:
        out: the run folder.
        names: ids of rows, or shard#row.
        undo: take the rows off the list again.

    Raises:
        ConfigError: When no document has one of the names, or one was forgotten.
    """
    with open_run(out) as run:
        rows = find(run, names)
        if not undo:
            _refuse_forgotten(run, rows)
        listed = {(row["row_key"], row["text_hash"]) for row in run.manifest.get(RESTORED, ())}
        named = set(zip(rows["row_key"].to_pylist(), _hex(rows["text_hash"]), strict=True))
        listed = listed - named if undo else listed | named
        run.manifest[RESTORED] = [
            {"row_key": key, "text_hash": text} for key, text in sorted(listed)
        ]
        run.save()
        return len(named)


def _refuse_forgotten(run: RunFolder, rows: pa.Table) -> None:
    """Refuse to promise that a forgotten row will stay.

    Raises:
        ConfigError: When the text of a row is listed, or a filter took the row as forgotten.
    """
    listed = {text["text_hash"] for text in run.manifest.get(FORGOTTEN, ())}
    decided = read_table(run.paths("decisions"), DECISIONS, ["row_key", "reason"])
    gone = set(decided.filter(pc.equal(decided["reason"], "forgotten"))["row_key"].to_pylist())
    found = [
        label(row["place"])
        for row in rows.to_pylist()
        if row["text_hash"].hex() in listed or row["row_key"] in gone
    ]
    if found:
        raise ConfigError(
            "A forgotten row cannot be restored: forgetting is for good.",
            where=str(run.folder),
            found=f"taken out by --forget: {', '.join(found[:MOST_NAMED])}",
            expected="rows that a rule has removed",
            fix="leave it out; only a new run folder has it again: rote run CORPUS... --out NEW",
        )


def forget(out: Path, names: Sequence[str], config: Config, *, dry_run: bool = False) -> Taken:
    """Enter texts that are to be removed for good, with their copies; return what they are.

    Copies are exact ones, and near ones: every document is compared with the named ones. The next
    filter removes them; at once removed are kept/_SUCCESS and the report, which may quote them.

    Args:
        out: the run folder.
        names: ids of rows, or shard#row.
        config: the settings; its threshold says what a near copy is.
        dry_run: only say what would be forgotten.

    Raises:
        ConfigError: When no document has one of the names, or a name means different texts.
    """
    if dry_run:
        return _taken(read_run(out), names, config)
    with open_run(out) as run:
        found = _taken(run, names, config)
        enter(run.manifest, found.texts)
        run.forget(OUTDATED)
        run.save()
        return found


def enter(manifest: dict[str, Any], texts: Mapping[str, bool]) -> None:
    """Add texts to those that a manifest says are to be forgotten.

    Args:
        manifest: of the run folder; changed in place.
        texts: the hash of each as hex, and whether it was named.
    """
    listed = {text["text_hash"]: text["named"] for text in manifest.get(FORGOTTEN, ())}
    for text, named in texts.items():
        listed[text] = named or listed.get(text, False)
    if listed:
        manifest[FORGOTTEN] = [
            {"text_hash": text, "named": named} for text, named in sorted(listed.items())
        ]


def _taken(run: RunFolder, names: Sequence[str], config: Config) -> Taken:
    """Return the texts of some names with all their near copies, and the rows that have them."""
    rows = find(run, names)
    _refuse_ambiguous(rows)
    require_sound(run, {"counts", "words"})
    counts, named = run.paths("counts"), np.unique(rows["row_key"].to_numpy())
    keys = near_documents(run.paths("words"), named, config, workers_of(config))
    table = read_table(counts, COUNTS, ["row_key", "text_hash"])
    near = table.filter(pa.array(among(table["row_key"].to_numpy(), keys)))["text_hash"]
    own = set(_hex(rows["text_hash"]))
    texts = {text: text in own for text in sorted(own.union(_hex(near)))}
    hashes = pa.array([bytes.fromhex(text) for text in texts], pa.binary(16))
    listed = pa.table({"text_hash": hashes, "named": list(texts.values())})
    found = query("filter/rows_of_texts", {"counts": counts, "listed": listed})
    reported = "report/all" in run.manifest["outputs"]
    return Taken(texts, found.to_pylist(), frozenset(named.tolist()), reported)


def _refuse_ambiguous(rows: pa.Table) -> None:
    """Refuse a name under which there are different texts: which one is meant is not for us to say.

    Raises:
        ConfigError: When there is such a name; it lists the rows and says how to name one.
    """
    texts: dict[str, set[bytes]] = {}
    places: dict[str, list[str]] = {}
    for row in rows.to_pylist():
        texts.setdefault(row["name"], set()).add(row["text_hash"])
        places.setdefault(row["name"], []).append(f"row:{row['place']}")
    for name, found in texts.items():
        if len(found) > 1:
            shown = ", ".join(label(place) for place in places[name][:MOST_NAMED])
            more = len(places[name]) - MOST_NAMED
            raise ConfigError(
                "A name means several rows with different texts; nothing was forgotten.",
                where=label(name),
                found=f"{shown}{f' and {more:,} more' if more > 0 else ''}",
                expected="a name of one text",
                fix="name the rows that are meant as row:SHARD#ROW, or an id as id:ID",
            )


def find(run: RunFolder, names: Sequence[str]) -> pa.Table:
    """Return name, row_key, doc_id, place and text_hash of the rows of some names.

    A name is an id or shard#row, whichever there is; `id:` or `row:` before it says which is meant.

    Raises:
        ConfigError: When no document has one of the names.
    """
    counts = run.paths("counts")
    wanted = _wanted(sorted(set(names)))
    rows = query("filter/named_rows", {"counts": counts, "wanted": wanted}) if counts else None
    found = set() if rows is None else set(rows["name"].to_pylist())
    unknown = [name for name in names if name not in found]
    if rows is None or unknown:
        raise ConfigError(
            "No document of this run has that id.",
            where=str(run.folder),
            found=", ".join(repr(name)[:80] for name in unknown[:MOST_NAMED]),
            expected="the id of a row, or SHARD#ROW (also id:ID, row:SHARD#ROW)",
            fix=f"look for it: rote explain {run.folder} DOC_ID",
        )
    return rows


def _wanted(names: Sequence[str]) -> pa.Table:
    """Return for each name the ids and the place to look for."""
    found: list[dict[str, str | None]] = []
    for name in names:
        ids, place = meanings(name)
        found += [{"name": name, "id": one, "place": None} for one in ids]
        found.append({"name": name, "id": None, "place": place})
    return pa.Table.from_pylist(found, WANTED)


def _hex(hashes: pa.ChunkedArray) -> list[str]:
    return [value.hex() for value in hashes.to_pylist()]


def cannot_reach(manifest: dict[str, Any]) -> list[str]:
    """Return lines that say where a forgotten text may still be; none when nothing was forgotten.

    Args:
        manifest: the manifest of a run folder.
    """
    facts = manifest["outputs"].get("decisions/all", {}).get("facts", {}).get("forgotten")
    if not facts:
        return []
    rows, holders = facts["rows"], facts["kept_documents_that_share_a_window"]
    still = (
        "Of a forgotten text there is still: your own files; words/ (all its words in order) and "
        "signatures/, which a new run folder without the row does not have;"
    )
    scored = manifest["outputs"].get("sequences/all", {}).get("made_from")
    learnt = (
        "  what the proxies in models/ learnt, hashes of its words in taught/, where its sequences "
        "lie: until the next rote score or rote run, which trains anew if they were taught it;"
    )
    before = scored and not noted(manifest, FORGOTTEN).items() <= scored["read"].items()
    quoted = f"  {holders:,} kept documents share a passage of it (rote query finds them)."
    return [
        f"  forgotten{rows:>10,}  rows; removed/ names them without their values",
        still,
        *([learnt] if before else []),
        quoted,
    ]
