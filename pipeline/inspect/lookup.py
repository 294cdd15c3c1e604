"""Look up how often one text occurs in a scanned corpus, and which documents are near it.

Every window of the text is counted exactly, also those that occur once, in one pass over the table
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
from pipeline.engine.parts import in_order
from pipeline.engine.progress import current
from pipeline.engine.run_folder import read_run
from pipeline.engine.shards import active_shards, row_of, shard_of
from pipeline.engine.sound import require_sound
from pipeline.engine.tables import read_keys
from pipeline.errors import ConfigError, IntegrityError
from pipeline.inspect.nearest import Proposals, propose
from pipeline.inspect.question import MOST_HOLDERS, Question, TextMatches, ask, look
from pipeline.report.quotes.quotes import quote
from pipeline.scan.inventory import is_unchanged
from pipeline.scan.words import chunk_places
from pipeline.text.arrays import Int64
from schemas.filter.decisions import DECISIONS
from schemas.scan.signatures import SIGNATURES

MOST = MOST_HOLDERS  # entries of each list
NEEDED = ("signatures", "words", "counts")


@dataclass(frozen=True)
class DocumentName:
    """The name and the place of a document of the corpus.

    Attributes:
        doc_id: its id.
        shard: the path of its shard in the corpus.
        row: its row in the shard, from 0 on.
    """

    doc_id: str
    shard: str
    row: int


@dataclass(frozen=True)
class CorpusDocument(DocumentName):
    """A document of the corpus and what the filter did with it.

    Attributes:
        decision: kept | removed; None when nothing is decided.
        reason: why it was removed.
        rule: the rule that removed it.
        keeper: the document that stays in its place.
    """

    decision: str | None = None
    reason: str | None = None
    rule: str | None = None
    keeper: DocumentName | None = None


@dataclass(frozen=True)
class Holder:
    """A document that has a window of the text.

    Attributes:
        words: how many words of the text lie in windows that it has.
        document: the document.
    """

    words: int
    document: CorpusDocument


@dataclass(frozen=True)
class Neighbour:
    """A document that is near the text, compared shingle by shingle.

    Attributes:
        jaccard: exact Jaccard of the two shingle sets.
        shared_shingles: distinct shingles in both.
        all_shingles: distinct shingles in either.
        containment: the share of the text's shingles that the document has.
        copies: documents of the same bytes, itself included.
        document: the document.
    """

    jaccard: float
    shared_shingles: int
    all_shingles: int
    containment: float
    copies: int
    document: CorpusDocument


@dataclass(frozen=True)
class Stretch:
    """Consecutive windows of the text that all occur in the corpus.

    Attributes:
        start_byte: the first byte in the text.
        end_byte: one past the last byte.
        words: how many words they cover.
        least: occurrences of the window that occurs least.
        most: occurrences of the window that occurs most.
        documents: the most documents that have one and the same of these windows.
        quote: a safe quote of the text.
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
    """What a corpus has of a text; every list is cut to the first few.

    Attributes:
        bytes: the length of the text in UTF-8.
        words: its words.
        window_words: the words of a window; all words of a text that is shorter.
        windows: its windows.
        occurring: windows that occur in the corpus.
        covered_words: words in those.
        most: the window that occurs most often; None when none occurs.
        stretches: how many stretches of consecutive occurring windows there are.
        top_stretches: those with the largest counts.
        holders: how many documents have a window of the text.
        top_holders: those that cover most of its words.
        exact_copies: how many documents are exact copies.
        top_exact_copies: the first of these.
        nearest: other documents that are near, the nearest first.
        corpus_documents: documents of the corpus.
        changed_shards: how many files of the corpus changed since the scan that was asked.
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
    changed_shards: int = 0


@dataclass(frozen=True)
class _ScannedRun:
    """What a lookup reads of a finished scan.

    Attributes:
        config: the settings of the run.
        shards: the shards, by number.
        signatures: the file of the table `signatures` of each group of shards.
        tables: the files of each table that is current.
    """

    config: Config
    shards: dict[int, Shard]
    signatures: dict[int, Path]
    tables: dict[str, list[Path]]

    def named(self, key: int) -> DocumentName:
        """Return the name of the document of a row_key, from the one row group that has it."""
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
    """Return some columns of the row of a row_key.

    Raises:
        IntegrityError: When the table has no such row.
    """
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
    """Return how often a text occurs in the corpus of a finished scan, and what is near it.

    Args:
        folder: the run folder.
        data: the text in UTF-8.
        stale: tables that are older than the last scan.
        threads: chunks of words that are searched side by side.
        name: what the text is called in messages.

    Raises:
        ConfigError: When the text has no words or is not UTF-8, or the scan is not finished.
        IntegrityError: When a file of the run that it reads has other bytes than were written.
    """
    run = _open(folder, stale)
    question = ask(data, run.config, name)
    sketch = run.config.sketch
    proposals = propose(data, question.words, sketch, run.tables["signatures"], threads)
    places = chunk_places(run.tables["words"])
    matches = question.nothing()
    search = partial(look, question, np.sort(proposals.keys), sketch)
    with ThreadPoolExecutor(threads) as pool:
        for done, of_chunk in enumerate(in_order(pool, threads, search, places)):
            matches = matches.plus(of_chunk)
            current().advance(done + 1, len(places), "chunks of words")
    return _answer(run, question, proposals, matches)


def _open(folder: Path, stale: Collection[str]) -> _ScannedRun:
    run = read_run(folder)
    tables = run.tables(without=stale)
    missing = [table for table in NEEDED if table not in tables]
    if missing:
        raise ConfigError(
            "This run folder cannot be asked yet: its scan is not finished, or is out of date.",
            where=str(folder),
            found=f"missing or not current: {', '.join(missing)}",
            fix="finish it: rote scan CORPUS... --out RUN (with the same settings)",
        )
    require_sound(run, {"signatures", "words", "decisions"} & tables.keys())
    shards = {shard.number: shard for shard in active_shards(run.manifest)}
    by_group = {int(path.stem.removeprefix("g")): path for path in tables["signatures"]}
    return _ScannedRun(Config.model_validate(run.manifest["config"]), shards, by_group, tables)


def _answer(
    run: _ScannedRun, question: Question, proposals: Proposals, matches: TextMatches
) -> Answer:
    """Return what was found, with the names of the documents."""
    first = question.sought.first  # (windows,)
    counts = matches.counted.occurrences[first], matches.counted.documents[first]
    begins, past = _runs(counts[0] > 0)
    order = _most_first(counts[0], begins, past)[:MOST]
    steps = np.zeros(question.words.hashes.size + 1, np.int64)
    np.add.at(steps, begins, 1)
    np.add.at(steps, past + question.size - 1, -1)
    top = int(counts[0].argmax())
    copies = dict(zip(proposals.keys.tolist(), proposals.copies.tolist(), strict=True))
    near = sorted(matches.near, key=lambda one: (-one.shared / one.union, one.row_key))[:MOST]
    return Answer(
        bytes=question.given,
        words=question.words.hashes.size,
        window_words=question.size,
        windows=first.size,
        occurring=int((counts[0] > 0).sum()),
        covered_words=int((np.cumsum(steps) > 0).sum()),
        most=_stretch(question, counts, top, top + 1) if begins.size else None,
        stretches=begins.size,
        top_stretches=tuple(
            _stretch(question, counts, int(begins[k]), int(past[k])) for k in order.tolist()
        ),
        holders=matches.holders,
        top_holders=tuple(Holder(words, run.document(key)) for words, key in matches.best),
        exact_copies=proposals.same,
        top_exact_copies=tuple(run.document(key) for key in proposals.named),
        nearest=tuple(
            Neighbour(
                one.shared / one.union,
                one.shared,
                one.union,
                one.shared / question.sets.hashes.size,
                copies[one.row_key],
                run.document(one.row_key),
            )
            for one in near
        ),
        corpus_documents=proposals.documents,
        changed_shards=sum(not is_unchanged(shard) for shard in run.shards.values()),
    )


def _runs(occurring: np.ndarray) -> tuple[Int64, Int64]:
    """Return the first window of each maximal run of occurring windows, and one past its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], occurring, [False]])))
    return edges[::2], edges[1::2]


def _most_first(occurrences: Int64, begins: Int64, past: Int64) -> Int64:
    """Return the numbers of the runs: largest count first, then the longest, then the earliest."""
    if not begins.size:
        return begins
    return np.lexsort((begins, begins - past, -np.maximum.reduceat(occurrences, begins)))


def _stretch(question: Question, counts: tuple[Int64, Int64], begin: int, past: int) -> Stretch:
    """Return the windows [begin, past) of the text as one stretch."""
    occurrences, documents = (values[begin:past] for values in counts)
    last = past + question.size - 2
    start, end = int(question.words.starts[begin]), int(question.words.ends[last])
    return Stretch(
        start,
        end,
        last - begin + 1,
        int(occurrences.min()),
        int(occurrences.max()),
        int(documents.max()),
        quote(question.data[start:end].decode()),
    )
