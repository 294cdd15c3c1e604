"""Explain why a row was kept, removed or rejected, from everything that a run knows of it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config.sections import Config
from pipeline.corpus import Shard
from pipeline.corpus.columns import ID_NAMES
from pipeline.engine.query import run as query
from pipeline.engine.run_folder import read_run
from pipeline.engine.shards import active_shards, shard_of
from pipeline.engine.sound import require_sound
from pipeline.engine.tables import Row
from pipeline.engine.texts import texts_of_rows
from pipeline.errors import ConfigError, IntegrityError
from pipeline.inspect.attributed import attribute
from pipeline.inspect.explanation import Explanation
from pipeline.inspect.explanation_words import FORGOTTEN, in_words
from pipeline.inspect.other_columns import OtherColumns, other_columns
from pipeline.names import meanings
from pipeline.report.quotes.quotes import label
from pipeline.scan.inventory import is_unchanged

READ = frozenset(
    {
        *("counts", "documents", "decisions", "pairs", "contained", "spans", "rejected"),
        *("risk", "document_risk", "sequences", "models", "probes", "contaminated", "held"),
        "personal",
    }
)
MOST_ROWS = 5
MOST_SIMILAR = 3  # ids in the message for an unknown one
MOST_SPANS = 60
MOST_PAIRS = 3
MOST_ITEMS = 5
MOST_COMPARED = 1000  # removed rows whose columns are compared with those of the one that stays
EACH_SPAN = 3


@dataclass(frozen=True)
class _ExplainedRun:
    """What an explanation reads of a finished run.

    Attributes:
        folder: the run folder.
        config: the settings of the run.
        shards: the shards, for the texts of a few rows.
        tables: the files of each table that is current.
        facts: the facts of the stage `risk`.
    """

    folder: Path
    config: Config
    shards: tuple[Shard, ...]
    tables: dict[str, list[Path]]
    facts: Row

    def rows(self, name: str, tables: Sequence[str], **params: object) -> list[Row]:
        """Return the rows of a query over tables of the run; none where a table is missing.

        Args:
            name: the query.
            tables: the tables that it reads.
            **params: what is bound in it.
        """
        if not all(self.tables.get(table) for table in tables):
            return []
        return list(
            query(name, {table: self.tables[table] for table in tables}, params).to_pylist()
        )


def explain(folder: Path, doc_id: str, stale: Collection[str] = (), *, asking: bool = False) -> str:
    """Return in words the explanation of every row with the id `doc_id`, or of one `shard#row`.

    Args:
        folder: the run folder.
        doc_id: the id of a row, or shard#row.
        stale: tables that are older than the last scan; they are left out, and the text says so.
        asking: ask the proxies why the riskiest sequence is recited.

    Raises:
        ConfigError: When no row has the id; it names up to three that resemble it.
    """
    return in_words(explanations(folder, doc_id, stale, asking=asking))


def explanations(
    folder: Path, doc_id: str, stale: Collection[str] = (), *, asking: bool = False
) -> list[Explanation]:
    """Return the explanation of each row of a name, rejected ones last; MOST_ROWS + 1 at most.

    Args:
        folder: the run folder.
        doc_id: the id of a row, or shard#row.
        stale: tables that are older than the last scan; they are left out.
        asking: ask the proxies why the riskiest sequence is recited.

    Raises:
        ConfigError: When no row has the name, or the run has no counts yet.
        IntegrityError: When a file of the run that it reads has other bytes than were written.
    """
    run = _open(folder, stale)
    ids, named = meanings(doc_id)
    place = _place(named)
    shard, row = place or (None, None)
    found = run.rows(
        "explain/find",
        ["counts"],
        doc_id=ids[0],
        other_id=ids[-1],
        shard=shard,
        shard_row=row,
        most=MOST_ROWS + 1,
    )
    explained = [_explanation(run, row) for row in found]
    _read_texts(run, explained)
    for one in explained:
        one.others = _others(run, one)
    if asking:
        attribute(run.folder, run.config, run.shards, run.tables, explained)
    explained += [Explanation(row, run.config, rejected=True) for row in _rejected(run, ids, place)]
    if not explained:
        raise _unknown(run, folder, doc_id)
    return explained[: MOST_ROWS + 1]


def _open(folder: Path, stale: Collection[str]) -> _ExplainedRun:
    run = read_run(folder)
    tables = run.tables(without=stale)
    if "counts" not in tables:
        raise ConfigError(
            "This run folder cannot be asked yet: its scan is not finished, or is out of date.",
            where=str(folder),
            found="missing or not current: counts",
            fix="finish it: rote scan CORPUS... --out RUN (with the same settings)",
        )
    require_sound(run, READ & tables.keys())
    facts = run.manifest["outputs"].get("risk/all", {}).get("facts", {})
    config = Config.model_validate(run.manifest["config"])
    return _ExplainedRun(folder, config, tuple(active_shards(run.manifest)), tables, facts)


def _unknown(run: _ExplainedRun, folder: Path, doc_id: str) -> ConfigError:
    """Return the error for an unknown id, with ids that resemble it."""
    similar = run.rows("explain/close", ["counts"], doc_id=doc_id, most=MOST_SIMILAR)
    names = ", ".join(label(row["doc_id"]) for row in similar)
    return ConfigError(
        "No document of this run has that id.",
        where=str(folder),
        found=repr(label(doc_id)),
        expected=f"for example {names}"
        if names
        else "the id of a row, or SHARD#ROW (also id:ID, row:SHARD#ROW)",
        fix="look for it in kept/, removed/ or rejected/",
    )


def _place(name: str | None) -> tuple[str, int] | None:
    """Return shard and row of a name that is SHARD#ROW; None of another."""
    shard, _, number = (name or "").rpartition("#")
    known = shard and number.isascii() and number.isdigit() and len(number) <= 12
    return (shard, int(number)) if known else None


def _rejected(run: _ExplainedRun, ids: tuple[str, ...], place: tuple[str, int] | None) -> list[Row]:
    """Return the rejected rows of some ids or a place."""
    # the files are read only here, and only for names: pyarrow.compute loads with them
    from pipeline.inspect.rejections import rejections

    id_column = run.config.input.id
    columns = (id_column,) if id_column else ID_NAMES
    return rejections(run.tables.get("rejected", []), columns, ids, place, MOST_ROWS)


def _explanation(run: _ExplainedRun, row: Row) -> Explanation:
    """Return what the tables say of a document, without texts."""
    explained = Explanation(row, run.config, scored=bool(run.tables.get("risk")))
    key = row["row_key"]
    decided = run.rows("explain/decision", ["documents", "decisions"], row_key=key)
    explained.decision = decided[0] if decided else None
    if explained.decision and explained.decision["keeper"] is not None:
        explained.keeper = _keeper(run, explained.decision["keeper"])
        explained.proof = _proof(run, row, explained.keeper, explained.decision)
    explained.near = run.rows(
        "explain/pairs", ["pairs", "counts"], representative=row["representative"], most=MOST_PAIRS
    )
    explained.held = run.rows("explain/held", ["held"], row_key=key)
    explained.items = run.rows(
        "explain/contaminated", ["contaminated"], row_key=key, most=MOST_ITEMS
    )
    explained.personal = run.rows("explain/personal", ["personal"], row_key=key, most=MOST_ITEMS)
    explained.spans = _spans(run, key)
    forecasts = run.rows(
        "explain/risk",
        ["risk", "document_risk"],
        row_key=key,
        representative=row["representative"],
    )
    if forecasts:
        explained.risk = forecasts[0]
        explained.features = _features(run, row, forecasts[0])
        found = run.rows(
            "explain/sequence",
            ["sequences"],
            representative=row["representative"],
            start_byte=forecasts[0]["start_byte"],
        )
        explained.sequence = found[0] if found else None
    explained.probes = run.rows("explain/probes", ["probes"], representative=row["representative"])
    return explained


def _features(run: _ExplainedRun, row: Row, risk: Row) -> list[Row]:
    if risk["risk"] is None or not run.tables.get("sequences"):
        return []
    # scipy loads with the forecast
    from pipeline.inspect.contributions import contributions

    return contributions(run.tables, run.facts, row["representative"], risk)


def _spans(run: _ExplainedRun, row_key: int) -> list[Row]:
    """Return the repeated spans of a document, each with some other documents that repeat it."""
    spans = run.rows("explain/spans", ["spans"], row_key=row_key, most=MOST_SPANS)
    windows = sorted({span["window"] for span in spans})
    others = (
        run.rows(
            "explain/elsewhere",
            ["spans", "counts"],
            windows=windows,
            row_key=row_key,
            each=EACH_SPAN,
        )
        if windows
        else []
    )
    for span in spans:
        span["elsewhere"] = [other for other in others if other["window"] == span["window"]]
    return spans


def _keeper(run: _ExplainedRun, row_key: int) -> Row:
    """Return the counts of a keeper.

    Raises:
        IntegrityError: When the run has no such document.
    """
    found = run.rows("explain/keeper", ["counts"], row_key=row_key)
    if not found:
        raise IntegrityError(
            "A keeper is not among the documents.",
            where="decisions",
            found=str(row_key),
            fix="run `rote filter` on this folder again",
        )
    return found[0]


def _proof(run: _ExplainedRun, row: Row, keeper: Row, decision: Row) -> Row | None:
    """Return the pair that proves a removal; None for exact copies, which need none."""
    removed, kept = row["representative"], keeper["representative"]
    if removed == kept:
        return None
    if decision["method"] == "contained":
        found = run.rows("explain/contained", ["contained"], document=removed, container=kept)
    else:
        found = run.rows("explain/proof", ["pairs"], a=min(removed, kept), b=max(removed, kept))
    return found[0] if found else None


def _read_texts(run: _ExplainedRun, explained: Sequence[Explanation]) -> None:
    """Add the texts of the rows and of their keepers, unless excerpts are off.

    The text of a row that is to be forgotten is not read, nor that of its keeper. A text that is
    not the one that was scanned is not shown, and its shard is noted as changed.
    """
    changed = _changed_shards(run, explained)
    shown = [one for one in explained if (one.decision or {}).get("reason") != FORGOTTEN]
    rows = [row for one in shown for row in (one.row, one.keeper) if row is not None]
    rows = [row for row in rows if row["shard"] not in changed]
    texts: dict[int, str] = {}
    if run.config.report.excerpts:
        wanted = np.array(sorted({row["row_key"] for row in rows}), np.uint64)
        texts = dict(texts_of_rows(run.shards, run.config.input, wanted))
        for row in rows:
            if not _is_scanned(texts.get(row["row_key"]), row):
                texts.pop(row["row_key"], None)
                changed.add(row["shard"])
    for one in explained:
        places = [row["shard"] for row in (one.row, one.keeper) if row is not None]
        one.changed = tuple(sorted(changed.intersection(places)))
    for one in shown:
        one.text = texts.get(one.row["row_key"])
        one.keeper_text = texts.get(one.keeper["row_key"]) if one.keeper else None


def _others(run: _ExplainedRun, one: Explanation) -> OtherColumns | None:
    """Return how the rows that a kept one stands for differ from it in other columns.

    None where it stands for none, or a file of theirs is no longer the one that was scanned.
    """
    if not (one.decision or {}).get("rows_standing_for"):
        return None
    key = one.row["row_key"]
    found = run.rows("explain/standing", ["decisions"], row_key=key, most=MOST_COMPARED)
    removed = [row["row_key"] for row in found]
    numbers = {shard_of(each) for each in (key, *removed)}
    shards = [shard for shard in run.shards if shard.number in numbers]
    if not all(map(is_unchanged, shards)):
        return None
    return other_columns(shards, run.config.input, key, removed)


def _changed_shards(run: _ExplainedRun, explained: Sequence[Explanation]) -> set[str]:
    """Return the shards of the rows and their keepers that are not the files that were scanned."""
    rows = [row for one in explained for row in (one.row, one.keeper) if row is not None]
    named = {row["shard"] for row in rows}
    return {shard.name for shard in run.shards if shard.name in named and not is_unchanged(shard)}


def _is_scanned(text: str | None, row: Row) -> bool:
    """Tell whether a text that was read is the one that was counted for a row."""
    if text is None:
        return False
    found = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return bool(found == row["text_hash"])
