"""Hold texts against a scanned corpus: evaluation sets, canaries, or what a model generated.

Every run of n words of the texts is looked for, exactly, in one pass over the table `words`; no
text of the corpus is read. Whether a run, a shingle or a word is the same is settled word by word.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import Config, SketchConfig
from pipeline.engine.memory import budget_of
from pipeline.engine.run_folder import read_run
from pipeline.engine.shards import active_shards
from pipeline.engine.sound import require_sound
from pipeline.engine.tables import conform, read_batches
from pipeline.errors import ConfigError
from pipeline.inspect.audit_pass import HeldOut, Shared, shared
from pipeline.inspect.audit_sums import Distance, TextSet, distance_of, sets_of
from pipeline.matching.asked import Searched, asked, of_words
from pipeline.matching.fields import TABLE_BYTES, FieldFile, Fields, read_fields
from pipeline.matching.search import NOBODY, Best
from pipeline.scan.inventory import is_unchanged
from pipeline.scan.words import ChunkPlace, chunk_keys, chunk_places, read_chunk
from pipeline.text.arrays import Float64, Uint64
from pipeline.text.forms import normalized
from pipeline.text.hashing import keyed_hash
from pipeline.text.segmentation import Words
from pipeline.text.sorting import among
from schemas.filter.decisions import DECISIONS
from schemas.inspect.audited import AUDITED
from schemas.scan.counts import COUNTS
from schemas.score.risk import DOCUMENT_RISK

NEEDED = ("words", "counts")
HELD_OUT = 200  # documents of the corpus that generated texts are compared with
MOST_RUN = 10_000  # words


@dataclass(frozen=True)
class AuditQuestion:
    """What is asked of a corpus.

    Attributes:
        files: files, folders and globs with the texts.
        words: words of a run.
        columns: the columns with text; empty for a guess.
        generations: whether the texts are what a model generated.
    """

    files: tuple[str, ...]
    words: int = 13
    columns: tuple[str, ...] = ()
    generations: bool = False


@dataclass(frozen=True)
class Audit:
    """What a corpus has of some texts.

    Attributes:
        words: words of a run.
        files: the files that were read.
        sets: sums over all texts, then by file and field.
        distance: how far generated texts are from the corpus; None where none was asked for.
        corpus_documents: documents of the corpus.
        changed_shards: how many files of the corpus changed since the scan that was asked.
        table: one row per text, as the schema `audited` has it.
    """

    words: int
    files: tuple[FieldFile, ...]
    sets: tuple[TextSet, ...]
    distance: Distance | None
    corpus_documents: int
    changed_shards: int
    table: pa.Table


def audit(
    folder: Path, question: AuditQuestion, stale: Collection[str] = (), threads: int = 2
) -> Audit:
    """Return what the corpus of a finished scan has of some texts.

    Args:
        folder: the run folder.
        question: the texts, and what is asked.
        stale: tables that are older than the last scan.
        threads: chunks of words that are searched side by side.

    Raises:
        ConfigError: When the scan is not finished, or there are more texts than there is room for.
        InputError: When a file with texts cannot be read.
        IntegrityError: When a file of the run that it reads has other bytes than were written.
    """
    if not 1 <= question.words <= MOST_RUN:
        raise ConfigError(
            "The number of words of a run is not valid.",
            where="--words",
            found=str(question.words),
            expected=f"1 to {MOST_RUN:,}",
        )
    run = read_run(folder)
    config = Config.model_validate(run.manifest["config"])
    tables = _tables(folder, run.tables(without=stale))
    require_sound(run, {"words", "counts", "decisions", "document_risk"} & tables.keys())
    room = budget_of(config) // (2 * TABLE_BYTES)
    fields = read_fields(question.files, config.input, question.columns, room)
    texts, _ = normalized(_texts(fields), config.text.normalize)
    prepared = asked(texts, config.sketch, Searched(question.words))
    places = chunk_places(tables["words"])
    median = int(np.median(prepared.lengths[prepared.lengths > 0], axis=0)) if texts else 0
    held_out = _held_out(places if question.generations else [], median, config.sketch)
    found = shared(prepared, held_out, places, config.sketch, threads)
    table = _table(fields, prepared.lengths, question.words, found, tables, prepared.sets.sets)
    shards = active_shards(run.manifest)
    return Audit(
        question.words,
        fields.files,
        sets_of(table),
        _distance(table, found, held_out, median) if question.generations else None,
        sum(one["documents"] or 0 for one in run.manifest["corpus"]["shards"] if one["active"]),
        sum(not is_unchanged(shard) for shard in shards),
        table,
    )


def _texts(fields: Fields) -> pa.LargeStringArray:
    column = fields.table["text"].combine_chunks()
    return column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)


def _tables(folder: Path, tables: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """Return the tables of a run.

    Raises:
        ConfigError: When its scan is not finished.
    """
    missing = [name for name in NEEDED if name not in tables]
    if missing:
        raise ConfigError(
            "This run folder cannot be asked yet: its scan is not finished, or is out of date.",
            where=str(folder),
            found=f"missing or not current: {', '.join(missing)}",
            fix="finish it: rote scan CORPUS... --out RUN (with the same settings)",
        )
    return tables


def _held_out(places: Sequence[ChunkPlace], words: int, sketch: SketchConfig) -> HeldOut:
    """Return some documents of the corpus, cut to as many words as generated texts have.

    They are those of at least that length whose keys have the smallest hashes; shorter ones where
    none is as long.
    """
    keys = np.sort(np.concatenate([np.zeros(0, np.uint64), *map(chunk_keys, places)]))
    order = np.argsort(keyed_hash(keys, sketch.seed), kind="stable")
    wanted = np.sort(keys[order[: 4 * HELD_OUT]])
    owners, parts = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    lengths = [0]
    for place in places:
        if not among(chunk_keys(place), wanted).any():
            continue
        chunk = read_chunk(place)
        for d in np.flatnonzero(among(chunk.keys, wanted)).tolist():
            low, high = chunk.words.offsets[d : d + 2].tolist()
            if high - low >= max(1, words) and len(owners) <= HELD_OUT:
                owners.append(chunk.keys[d : d + 1])
                parts.append(chunk.words.hashes[low : low + words])
                lengths.append(words)
    none = np.zeros(0, np.uint32)
    own = Words(np.cumsum(lengths, dtype=np.int64), np.concatenate(parts), none, none)
    return HeldOut(of_words(own, sketch, Searched(max(1, words))), np.concatenate(owners))


def _distance(table: pa.Table, found: Shared, held_out: HeldOut, words: int) -> Distance:
    there = table["words"].to_numpy() > 0
    own = _similar(found.held_out, held_out.asked.sets.sets)
    near, inside = (table[name].to_numpy()[there] for name in ("jaccard", "containment"))
    return distance_of(near, inside, own, words)


def _similar(best: Best, sets: np.ndarray) -> tuple[Float64, Float64]:
    """Return the highest Jaccard, and the largest share of its shingles in a document, of texts."""
    sizes = np.maximum(1, np.diff(sets))
    return best.shared / np.maximum(1, best.either), best.held / sizes


def _table(
    fields: Fields,
    lengths: np.ndarray,
    size: int,
    found: Shared,
    tables: dict[str, list[Path]],
    sets: np.ndarray,
) -> pa.Table:
    """Return one row per text."""
    jaccard, containment = _similar(found.best, sets)
    file = fields.table["file"].to_numpy()
    columns = {
        "file": pa.array([fields.files[number].name for number in file.tolist()], pa.string()),
        "split": pa.array([fields.files[number].split for number in file.tolist()], pa.string()),
        "row": fields.table["row"],
        "field": fields.table["field"],
        "kind": fields.table["kind"],
        "words": lengths,
        "run_words": np.minimum(lengths, size),
        "covered_words": found.covered,
        "longest_run": found.longest,
        "largest_count": found.counts,
        "jaccard": jaccard,
        "containment": containment,
        **_documents("nearest", found.best.near, tables),
        **_documents("holder", found.best.holder, tables),
    }
    table = pa.table([columns[name] for name in AUDITED.names], AUDITED.names)
    return conform(table, AUDITED)


def _documents(name: str, keys: Uint64, tables: dict[str, list[Path]]) -> dict[str, pa.Array]:
    """Return the columns that name a document of each text, and what became of it."""
    named = _columns(tables, COUNTS, ["doc_id", "shard", "row"], keys)
    decided = _columns(tables, DECISIONS, ["action", "reason"], keys)
    forecast = _columns(tables, DOCUMENT_RISK, ["risk", "extrapolated"], keys)
    no_order = pc.invert(pc.fill_null(forecast["extrapolated"], fill_value=False))
    risk = pc.if_else(no_order, forecast["risk"], pa.scalar(None, pa.float64()))
    action = decided["action"].to_pylist()
    gone = [None if one is None else "removed" if one == "drop" else "kept" for one in action]
    reasons = decided["reason"].to_pylist()
    told = [reason if one == "removed" else None for reason, one in zip(reasons, gone, strict=True)]
    return {
        f"{name}_row_key": pa.array(keys, mask=keys == NOBODY),
        **{f"{name}_{one}": column for one, column in named.items()},
        f"{name}_decision": pa.array(gone, pa.string()),
        f"{name}_reason": pa.array(told, pa.string()),
        f"{name}_risk": risk,
    }


def _columns(
    tables: dict[str, list[Path]], schema: pa.Schema, names: list[str], keys: Uint64
) -> dict[str, pa.Array]:
    """Return columns of a table's rows of some keys, null where it has none; one pass over it."""
    wanted = np.unique(keys[keys != NOBODY])
    kinds = pa.schema([schema.field(name) for name in ("row_key", *names)])
    parts = [kinds.empty_table()]
    for path in tables.get(schema.metadata[b"table"].decode(), []):
        for batch in read_batches(path, kinds.names):
            own = among(batch["row_key"].to_numpy(), wanted)
            if own.any():
                parts.append(pa.Table.from_batches([batch.filter(pa.array(own))]).cast(kinds))
    rows = pa.concat_tables(parts).combine_chunks()
    found = rows["row_key"].to_numpy()
    if not found.size:
        return {name: pa.nulls(keys.size, kinds.field(name).type) for name in names}
    place = np.minimum(np.searchsorted(found, keys), found.size - 1)
    take = pa.array(place, mask=found[place] != keys)
    return {name: rows[name].combine_chunks().take(take) for name in names}
