"""Read what the models of a back-test learn from and are scored on, from its scanned corpus.

The corpus is scanned as `rote scan` does it, so counts, near copies and effective counts are those
that a user would have. The families of planted text are the planted clusters, also where the scan
does not join them, so that no cluster is split by halves, folds or the bootstrap.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from pipeline import run
from pipeline.backtest.corpus.canaries import SCORED_VARIANTS
from pipeline.config.sections import Config, InputConfig
from pipeline.engine.memory import begin, workers_of
from pipeline.engine.run_folder import open_run, read_run, tables_of
from pipeline.engine.session import Session, one_by_one
from pipeline.engine.shards import active_shards
from pipeline.engine.stage import ALL, Work
from pipeline.engine.tables import read_table
from pipeline.scan.inventory import inventory
from pipeline.score.proxy.tokenizer import EOS_ID, encode
from pipeline.score.sequences.catalogue import COLUMNS, Catalogue, catalogue
from pipeline.score.sequences.panel import Panel
from pipeline.score.sequences.sampling import half_of
from pipeline.score.sequences.sequence_table import ScoringInput
from pipeline.score.sequences.training_rows import (
    Text,
    TrainingRows,
    by_text,
    read_texts,
    token_rows,
    tokenized,
    training_rows,
)
from pipeline.text.arrays import Int64
from pipeline.text.hashing import keyed_hash
from schemas.scan.counts import COUNTS

PER_FAMILY = 8  # sequences of the panel


@dataclass(frozen=True)
class Subject:
    """Everything that models learn from and are scored on.

    Attributes:
        work: the scanned corpus of the back-test.
        material: documents, training rows, panel and tokenized texts, as in scoring.
        planted: the table `backtest_planted`.
        about: the row of `planted` of each sequence of the panel.
        outside: sequences of the clusters that no model sees.
        outside_about: the row of `planted` of each of these.
    """

    work: Work
    material: ScoringInput
    planted: pa.Table
    about: Int64  # (sequences,)
    outside: Int64  # (outside sequences, 65)
    outside_about: Int64  # (outside sequences,)

    @property
    def panel_rows(self) -> Int64:
        """The sequences of the panel, EOS and 64 tokens each, (sequences, 65)."""
        of = self.material
        pairs = zip(of.panel.document.tolist(), of.panel.start_token.tolist(), strict=True)
        return np.concatenate([token_rows(of.texts[n], np.array([start])) for n, start in pairs])

    @property
    def owner(self) -> Int64:
        """The number of the document that each training row is cut from, (rows,)."""
        of = self.material
        order = by_text(of.known, of.learnt.documents)
        times = [len(of.texts[n].starts) * int(of.known.exact_count[n]) for n in order]
        return np.repeat(np.array(order, np.int64), times)

    @property
    def start_token(self) -> Int64:
        """The place of each training row's first token in its document, (rows,)."""
        of = self.material
        starts = [
            np.tile(of.texts[n].starts, int(of.known.exact_count[n]))
            for n in by_text(of.known, of.learnt.documents)
        ]
        return np.concatenate([np.zeros(0, np.int64), *starts])


def scan(corpus: Path, out: Path, config: Config) -> Config:
    """Scan the corpus of a back-test into a run folder of its own, and return the settings.

    Args:
        corpus: the folder of the table `backtest_corpus`.
        out: the run folder of the scan.
        config: the settings of the run that is back-tested.
    """
    own = config.model_copy(
        update={"input": InputConfig(text=("text",), id="id", source="source", priority=None)}
    )
    begin(own)
    with open_run(out, tables=run.TABLES, create=run.new_manifest()) as opened:
        session = Session(opened, own, one_by_one, run.STAGES)
        inventory(session.manifest, (str(corpus),), own, own=True)
        session.refresh()
        session.plan_memory()
        session.manifest["config"] = own.model_dump(mode="json", exclude={"limits"})
        opened.save()
        for stage in run.SCAN:
            session.perform(stage)
    return own


def work_on(folder: Path, config: Config) -> Work:
    """Return a unit of work over a whole scanned run."""
    opened = read_run(folder)
    return Work(
        "backtest",
        ALL,
        folder,
        config,
        tuple(active_shards(opened.manifest)),
        tables_of(entry for _, entry in sorted(opened.manifest["outputs"].items())),
        scan=opened.manifest["scan"],
        cores=workers_of(config),
        memory=1 << 30,
    )


def subject(work: Work, planted: pa.Table, tokenizer: Tokenizer) -> Subject:
    """Return what models learn from and are scored on: training rows, panel, rows left outside.

    Args:
        work: the scanned corpus of the back-test.
        planted: the table `backtest_planted`.
        tokenizer: the tokenizer of the back-test.
    """
    counts = read_table(work.paths("counts"), COUNTS, ["doc_id", *COLUMNS]).sort_by("row_key")
    place = _places(counts["doc_id"].to_pylist(), planted)
    clusters = planted["cluster"].to_pylist()
    known = catalogue(_with_clusters(counts, [clusters[number] for number in place.tolist()]))
    firsts = np.flatnonzero(known.first)
    texts = tokenized(tokenizer, read_texts(work, known, firsts))
    inside = np.array(planted["inside"].to_pylist())[place]
    learnt = _training_rows(known, texts, inside, work.config.proxy.seed)
    panel = _panel(known, texts, np.array(planted["variant"].to_pylist())[place], work.config)
    outside, about = _outside(planted, tokenizer)
    material = ScoringInput(known, learnt, panel, texts)
    return Subject(work, material, planted, place[panel.document], outside, about)


def _places(ids: list[str], planted: pa.Table) -> Int64:
    """Return the row of `planted` of each document, by its id cluster/variant/copy."""
    names = zip(planted["cluster"].to_pylist(), planted["variant"].to_pylist(), strict=True)
    row = {f"{cluster}/{variant}": number for number, (cluster, variant) in enumerate(names)}
    return np.array([row[name.rpartition("/")[0]] for name in ids], np.int64)


def _with_clusters(counts: pa.Table, clusters: list[str]) -> pa.Table:
    """Return the counts with the cluster of each document as its family."""
    names = {
        cluster: hashlib.blake2b(cluster.encode(), digest_size=16).hexdigest()
        for cluster in set(clusters)
    }
    column = pa.array([names[cluster] for cluster in clusters], pa.string())
    counts = counts.drop_columns(["doc_id"])
    return counts.set_column(counts.schema.get_field_index("family"), "family", column)


def _training_rows(
    known: Catalogue, texts: dict[int, Text], inside: np.ndarray, seed: int
) -> TrainingRows:
    """Return the rows of every document that is inside, once for each copy."""
    chosen = np.array([n for n in sorted(texts) if inside[n] and len(texts[n].starts)], np.int64)
    half = half_of(known, seed)[known.family]
    rows, owner = training_rows(by_text(known, chosen), known.exact_count, texts)
    tokens = sum(len(texts[n].encoded.tokens) * int(known.exact_count[n]) for n in chosen.tolist())
    families = len(np.unique(known.family[chosen]))
    copies = known.exact_count[chosen]
    return TrainingRows(chosen, copies, half[chosen], rows, half[owner], families, tokens, 0, 0)


def _panel(known: Catalogue, texts: dict[int, Text], variant: np.ndarray, config: Config) -> Panel:
    """Return up to 8 sequences of each family, chosen by hash among its first three texts.

    The weight of a sequence is how many of these it stands for.
    """
    chosen: dict[int, list[tuple[int, int]]] = {}
    for number in sorted(texts):
        if variant[number] < SCORED_VARIANTS:
            places = [(number, start) for start in texts[number].starts.tolist()]
            chosen.setdefault(int(known.family[number]), []).extend(places)
    rows: list[tuple[int, int, float]] = []
    for places in chosen.values():
        keys = keyed_hash(
            np.array([known.text_key[n] ^ np.uint64(start) for n, start in places], np.uint64),
            config.proxy.seed + 21,
        )
        taken = np.argsort(keys, kind="stable")[:PER_FAMILY].tolist()
        rows += [(*places[place], len(places) / len(taken)) for place in taken]
    rows.sort(key=lambda row: (int(known.row_key[row[0]]), row[1]))
    document = np.array([row[0] for row in rows], np.int64)
    return Panel(
        document,
        np.array([row[1] for row in rows], np.int64),
        np.array([len(texts[n].starts) for n in document.tolist()], np.int64),
        np.ones(len(rows), np.bool_),
        np.array([row[2] for row in rows]),
    )


def _outside(planted: pa.Table, tokenizer: Tokenizer) -> tuple[Int64, Int64]:
    """Return the sequences of planted clusters that stay outside, and their rows of `planted`."""
    table = planted.select(["inside", "kind", "variant", "text"]).to_pylist()
    about = [
        number
        for number, row in enumerate(table)
        if not row["inside"] and row["kind"] != "natural" and row["variant"] < SCORED_VARIANTS
    ]
    encoded = encode(tokenizer, [table[number]["text"] for number in about])
    rows = [np.concatenate(([EOS_ID], one.tokens)) for one in encoded]
    return np.array(rows, np.int64).reshape(len(rows), -1), np.array(about, np.int64)
