"""Find the rows that hold an item of an evaluation set, each with the words that prove it.

A field of at least `decontaminate.words` words is held by a row that has a run of so many of its
words, or a share of its shingles; a shorter one of at least `short_words` by a row that has all its
words in their order. Runs and shingles are compared word by word in one pass over `words`. Memory
follows the items, a chunk of words for each thread, and what is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline.config.sections import Config
from pipeline.engine.group_digests import GROUPS, group_digests
from pipeline.engine.parts import in_order
from pipeline.engine.progress import current
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import conform, write_table
from pipeline.filter.evaluation import evaluation_fields
from pipeline.filter.held_items import CERTAINTIES, RULES, Held, held_items, passages_of
from pipeline.matching.asked import Asked, Searched, asked
from pipeline.matching.fields import Fields
from pipeline.matching.search import chunk_of
from pipeline.scan.words import ChunkPlace, chunk_places
from pipeline.text import forms
from pipeline.text.forms import normalized
from schemas.filter.contaminated import CONTAMINATED, PASSAGES

VERSION = 1
DROP, CUT, FLAG = "drop", "cut", "flag"


def settings(config: Config) -> list[Any]:
    """Return the settings that the tables depend on."""
    least = config.policy.cut_minimum if config.decontaminate.action == CUT else None
    read = config.input.model_dump(exclude={"skip_bad_files", "most_rejected"})
    return [
        config.decontaminate.model_dump(exclude={"files"}),
        [config.near.threshold, least, read],
        [config.text.normalize, forms.version(config.text.normalize)],
        [config.sketch.seed, config.sketch.shingle_words],
    ]


def is_asked(config: Config) -> bool:
    """Tell whether evaluation items are to be kept out."""
    return bool(config.decontaminate.files)


@dataclass(frozen=True)
class Items:
    """The fields of the items, prepared for the search.

    Attributes:
        fields: what they are.
        asked: their runs and shingles.
        columns: file, item_row, field, kind, item_words and shingles of each.
    """

    fields: Fields
    asked: Asked
    columns: dict[str, pa.Array]


def contaminated(work: Work) -> Receipt:
    """Write `contaminated` and `passages`: which rows hold which items, and where.

    A *reduce* stage.

    Raises:
        InputError: When an evaluation file cannot be read.
        IntegrityError: When one hash stands for two words, shingles or runs.
    """
    items = _items(work.config)
    places = chunk_places(work.paths("words"))
    tables, ranges = [CONTAMINATED.empty_table()], [PASSAGES.empty_table()]
    search = partial(_look, work.config, items)
    with ThreadPoolExecutor(work.cores) as threads:
        for done, (table, own) in enumerate(in_order(threads, work.cores, search, places)):
            tables.append(table)
            ranges.append(own)
            current().advance(done + 1, len(places), "chunks of words")
    order = [("row_key", "ascending"), ("start_byte", "ascending")]
    found = pa.concat_tables(tables)
    with write_table(work.folder, "contaminated", work.key, CONTAMINATED) as out:
        out.write(found)
    with write_table(work.folder, "passages", work.key, PASSAGES) as bytes_of:
        bytes_of.write(pa.concat_tables(ranges).sort_by(order))
    rows = len(found["row_key"].unique())
    facts = _facts(items, found, rows) | {GROUPS: group_digests(work.shards, [found])}
    return Receipt((out.record, bytes_of.record), rows, rows, facts)


def _items(config: Config) -> Items:
    fields = evaluation_fields(config)
    table = fields.table
    text = table["text"].combine_chunks()
    joined = text if isinstance(text, pa.Array) else pa.concat_arrays(text.chunks)
    texts, _ = normalized(joined, config.text.normalize)
    how = config.decontaminate
    prepared = asked(texts, config.sketch, Searched(how.words, how.short_words, how.words))
    names = [fields.files[number].name for number in table["file"].to_pylist()]
    columns = {
        "file": pa.array(names, pa.string()),
        "item_row": table["row"].combine_chunks(),
        "field": table["field"].combine_chunks(),
        "kind": table["kind"].combine_chunks(),
        "item_words": pa.array(prepared.lengths),
        "shingles": pa.array(np.diff(prepared.sets.sets)),
    }
    return Items(fields, prepared, columns)


def _look(config: Config, items: Items, place: ChunkPlace) -> tuple[pa.Table, pa.Table]:
    """Return the rows of both tables for the documents of one chunk."""
    chunk = chunk_of(items.asked, place, config.sketch, positions=True)
    numbers = items.fields.table["item"].to_numpy()
    held = held_items(config, items.asked, numbers, chunk)
    ranges = passages_of(config, items.asked, chunk, held)
    action = _actions(config, held, np.diff(chunk.words.offsets), ranges)
    kept = held.of_rows
    taken = pa.array(kept["text"])
    columns = {
        "row_key": chunk.keys[kept["document"]],
        **{name: column.take(taken) for name, column in items.columns.items()},
        **{name: held.columns[name] for name in held.columns},
        "action": pa.array([action[d] for d in kept["document"].tolist()], pa.string()),
    }
    table = pa.table([columns[name] for name in CONTAMINATED.names], CONTAMINATED.names)
    cut = [row for row in ranges if action[row[0]] == CUT]
    own = [
        pa.array([chunk.keys[row[0]] for row in cut], pa.uint64()),
        *(pa.array([row[k] for row in cut], pa.int64()) for k in (1, 2, 3)),
    ]
    return conform(table, CONTAMINATED), conform(pa.table(own, PASSAGES.names), PASSAGES)


def _actions(
    config: Config, held: Held, words: np.ndarray, ranges: Sequence[tuple[int, int, int, int]]
) -> dict[int, str]:
    """Return what becomes of each document that holds an item."""
    action = config.decontaminate.action
    documents = sorted(set(held.of_rows["document"].tolist()))
    if action != CUT:
        return dict.fromkeys(documents, action)
    cut: Counter[int] = Counter()
    for document, _, _, size in ranges:
        cut[document] += size
    least = config.policy.cut_minimum
    return {d: DROP if words[d] - cut[d] < least else CUT for d in documents}


def _facts(items: Items, found: pa.Table, rows: int) -> dict[str, Any]:
    """Return what was found, in numbers, by file and field."""
    given = pl.DataFrame({name: pl.Series(items.columns[name]) for name in ("file", "field")})
    frame = pl.from_arrow(found)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - narrows the union that from_arrow declares
    counted = {
        name: pl.col("row_key").filter(pl.col(column) == name).len()
        for column, names in (("rule", RULES), ("certainty", CERTAINTIES))
        for name in names
    }
    by_set = frame.group_by("file", "field").agg(
        found=pl.col("item_row").n_unique(), rows=pl.col("row_key").n_unique(), **counted
    )
    sets = given.group_by("file", "field").len("fields").join(by_set, ["file", "field"], "left")
    told = sets.sort("file", "field").with_columns(
        pl.exclude("file", "field").fill_null(0).cast(pl.Int64)
    )
    actions = dict(frame.unique("row_key")["action"].value_counts().iter_rows())
    return {
        "rows": rows,
        "actions": dict(sorted(actions.items())),
        "files": len(items.fields.files),
        "sets": told.to_dicts(),
    }
