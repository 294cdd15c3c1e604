"""How often one text occurs in a scanned corpus, and which documents are near it.

Every window of the text is counted exactly, those that occur once too, in one pass over the table
`words`; no text of the corpus is read. Memory follows the text and a chunk of words for each
thread.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.sections import Config
from pipeline.corpus import Shard
from pipeline.engine.progress import current
from pipeline.engine.run_folder import load_manifest
from pipeline.engine.shards import active_shards, row_of, shard_of
from pipeline.engine.tables import read_keys
from pipeline.errors import ConfigError, IntegrityError
from pipeline.inspect.nearest import Proposals, propose
from pipeline.inspect.question import MOST_HOLDERS, Question, TextMatches, ask, look
from pipeline.report.quotes.quotes import quote
from pipeline.scan.words import chunk_places, in_order
from pipeline.text.arrays import Int64
from schemas.filter.decisions import DECISIONS
from schemas.scan.signatures import SIGNATURES

MOST = MOST_HOLDERS  # of each list
NEEDED = ("signatures", "words", "counts")


@dataclass(frozen=True)
class DocumentName:
    """How a document of the corpus is called, and where it is."""

    doc_id: str
    shard: str
    row: int


@dataclass(frozen=True)
class CorpusDocument(DocumentName):
    """A document of the corpus and what the filter did with it.

    decision: kept | removed, null when nothing is decided. reason, rule, keeper: of a removal.
    """

    decision: str | None = None
    reason: str | None = None
    rule: str | None = None
    keeper: DocumentName | None = None


@dataclass(frozen=True)
class Holder:
    """A document and how many words of the text lie in windows that it holds."""

    words: int
    document: CorpusDocument


@dataclass(frozen=True)
class Neighbour:
    """A document near the text: exact Jaccard and containment of the text's shingles in it.

    copies: documents of the same bytes, itself included.
    """

    jaccard: float
    shared_shingles: int
    all_shingles: int
    containment: float
    copies: int
    document: CorpusDocument


@dataclass(frozen=True)
class Stretch:
    """Consecutive windows of the text that all occur: bytes of the text, least and largest count.

    documents: most that hold one of them.
    """

    start_byte: int
    end_byte: int
    words: int
    least: int
    most: int
    documents: int
    quote: str


@dataclass(frozen=True)
class Answer:
    """What is known of a text; every list is cut to the first few.

    window_words: of a window, all words of a shorter text. occurring: windows that occur.
    covered_words: words in those. most: of the window that occurs most often. stretches,
    holders: how many there are in all.
    """

    bytes: int
    words: int
    window_words: int
    windows: int
    occurring: int
    covered_words: int
    most: Stretch | None
    stretches: int
    top_stretches: tuple[Stretch, ...]
    holders: int
    top_holders: tuple[Holder, ...]
    exact_copies: int
    top_exact_copies: tuple[CorpusDocument, ...]
    nearest: tuple[Neighbour, ...]
    corpus_documents: int


@dataclass(frozen=True)
class _ScannedRun:
    config: Config
    shards: dict[int, Shard]
    signatures: dict[int, Path]
    tables: dict[str, list[Path]]

    def named(self, key: int) -> DocumentName:
        """Return the name of a row_key, from the one row group that has it."""
        shard = self.shards[shard_of(key)]
        row = _row([self.signatures[shard.group]], SIGNATURES, ["row_key", "doc_id"], key)
        return DocumentName(str(row["doc_id"]), shard.name, row_of(key))

    def document(self, key: int) -> CorpusDocument:
        """Return the document of a row_key, with what is decided about it."""
        name = self.named(key)
        place = name.doc_id, name.shard, name.row
        if "decisions" not in self.tables:
            return CorpusDocument(*place)
        columns = ["row_key", "action", "rule", "reason", "keeper"]
        found = _row(self.tables["decisions"], DECISIONS, columns, key)
        if found["action"] != "drop":
            return CorpusDocument(*place, "kept")
        keeper = None if found["keeper"] is None else self.named(found["keeper"])
        return CorpusDocument(*place, "removed", found["reason"], found["rule"], keeper)


def _row(paths: list[Path], schema: pa.Schema, columns: list[str], key: int) -> dict[str, Any]:
    parts = read_keys(paths, schema, columns, key, key)
    found: list[dict[str, Any]] = [row for part in parts for row in part.to_pylist()]
    if not found:
        raise IntegrityError(
            "A document is missing in a table of the run.",
            where=str(paths[0]),
            found=f"no row_key {key}",
            fix="scan and filter again, into a new folder",
        )
    return found[0]


def lookup(
    folder: Path, data: bytes, stale: Collection[str] = (), threads: int = 2, *, name: str = "text"
) -> Answer:
    """Return how often a text (UTF-8) occurs in the corpus of a finished scan.

    stale: tables that are older than the last scan. name: what the text is called in errors. Raises
    ConfigError for a text without words and for a run whose scan is not finished.
    """
    run = _open(folder, stale)
    asked = ask(data, run.config, name)
    sketch = run.config.sketch
    close = propose(data, asked.words, sketch, run.tables["signatures"], threads)
    places = chunk_places(run.tables["words"])
    total = asked.nothing()
    search = partial(look, asked, np.sort(close.keys), sketch)
    with ThreadPoolExecutor(threads) as pool:
        for done, share in enumerate(in_order(pool, threads, search, places)):
            total = total.plus(share)
            current().advance(done + 1, len(places), "chunks of words")
    return _answer(run, asked, close, total)


def _open(folder: Path, stale: Collection[str]) -> _ScannedRun:
    manifest = load_manifest(folder)
    tables: dict[str, list[Path]] = {}
    for _, entry in sorted(manifest["outputs"].items()):
        for record in entry["files"]:
            if record["table"] not in stale:
                tables.setdefault(record["table"], []).append(folder / record["path"])
    missing = [table for table in NEEDED if table not in tables]
    if missing:
        raise ConfigError(
            "This run folder cannot be asked yet: its scan is not finished, or is out of date.",
            where=str(folder),
            found=f"missing or not current: {', '.join(missing)}",
            fix="finish it: rote scan CORPUS... --out RUN (with the same settings)",
        )
    shards = {shard.number: shard for shard in active_shards(manifest)}
    by_group = {int(path.stem.removeprefix("g")): path for path in tables["signatures"]}
    return _ScannedRun(Config.model_validate(manifest["config"]), shards, by_group, tables)


def _answer(run: _ScannedRun, asked: Question, close: Proposals, total: TextMatches) -> Answer:
    first = asked.sought.first
    counts = total.counted.occurrences[first], total.counted.documents[first]
    begins, past = _runs(counts[0] > 0)
    order = _most_first(counts[0], begins, past)[:MOST]
    steps = np.zeros(asked.words.hashes.size + 1, np.int64)
    np.add.at(steps, begins, 1)
    np.add.at(steps, past + asked.size - 1, -1)
    top = int(counts[0].argmax())
    copies = dict(zip(close.keys.tolist(), close.copies.tolist(), strict=True))
    near = sorted(total.near, key=lambda one: (-one.shared / one.union, one.row_key))[:MOST]
    return Answer(
        bytes=len(asked.data),
        words=asked.words.hashes.size,
        window_words=asked.size,
        windows=first.size,
        occurring=int((counts[0] > 0).sum()),
        covered_words=int((np.cumsum(steps) > 0).sum()),
        most=_stretch(asked, counts, top, top + 1) if begins.size else None,
        stretches=begins.size,
        top_stretches=tuple(
            _stretch(asked, counts, int(begins[k]), int(past[k])) for k in order.tolist()
        ),
        holders=total.holders,
        top_holders=tuple(Holder(words, run.document(key)) for words, key in total.best),
        exact_copies=close.same,
        top_exact_copies=tuple(run.document(key) for key in close.named),
        nearest=tuple(
            Neighbour(
                one.shared / one.union,
                one.shared,
                one.union,
                one.shared / asked.sets.hashes.size,
                copies[one.row_key],
                run.document(one.row_key),
            )
            for one in near
        ),
        corpus_documents=close.documents,
    )


def _runs(occurring: np.ndarray) -> tuple[Int64, Int64]:
    """Return the first place of each maximal run and the one past its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], occurring, [False]])))
    return edges[::2], edges[1::2]


def _most_first(occurrences: Int64, begins: Int64, past: Int64) -> Int64:
    """Return the runs by largest count, then the longest, then the first."""
    if not begins.size:
        return begins
    return np.lexsort((begins, begins - past, -np.maximum.reduceat(occurrences, begins)))


def _stretch(asked: Question, counts: tuple[Int64, Int64], begin: int, past: int) -> Stretch:
    occurrences, documents = (values[begin:past] for values in counts)
    last = past + asked.size - 2
    start, end = int(asked.words.starts[begin]), int(asked.words.ends[last])
    return Stretch(
        start,
        end,
        last - begin + 1,
        int(occurrences.min()),
        int(occurrences.max()),
        int(documents.max()),
        quote(asked.data[start:end].decode()),
    )
