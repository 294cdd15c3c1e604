"""The stage of scoring: sequences of 64 tokens, scored by proxies trained on a sample.

The sample is of families. Every sequence of it is a training row (EOS and the 64 tokens), so
each is scored in the context that it was learnt in. An eighth of the families is never trained on:
there the proxies' rate of memorized sequences is the floor. Text is read for the sample and for
what is scored, nothing else.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config.sections import Config, ProxyConfig
from pipeline.engine.files import write_file
from pipeline.engine.progress import current
from pipeline.engine.stage import FileRecord, Receipt, Work
from pipeline.engine.tables import write_table
from pipeline.score.proxy.rates import rate_of_width
from pipeline.score.sequences.catalogue import Catalogue, documents_to_score
from pipeline.score.sequences.declared import seen_rows
from pipeline.score.sequences.models import (
    MANIFEST,
    MODELS,
    PROXIES,
    as_json,
    manifest,
    model_files,
)
from pipeline.score.sequences.panel import choose, want
from pipeline.score.sequences.provenance import (
    corpus_tokens,
    facts_of,
    facts_of_sample,
    provenance,
    sequences_at_most,
)
from pipeline.score.sequences.sampling import NOTHING, Sample, sample_by_bytes
from pipeline.score.sequences.taught import Lesson, lesson_of, taught_table
from pipeline.text.arrays import Int64
from schemas.score.contexts import CONTEXTS
from schemas.score.dynamics import DYNAMICS
from schemas.score.plants import PLANTS
from schemas.score.sequences import SEQUENCES
from schemas.score.taught import TAUGHT

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.score.proxy.ensemble import Proxy
    from pipeline.score.proxy.pool import WorkerPool
    from pipeline.score.proxy.tokenizer import Language
    from pipeline.score.sequences.kept import Kept
    from pipeline.score.sequences.plants import Plants
    from pipeline.score.sequences.sequence_table import ScoringInput
    from pipeline.score.sequences.training_rows import Text, TrainingRows

VERSION = 9
UNFINISHED = ".unfinished"
ENDS = 1 << 20  # bytes
FEW_STEPS = 20  # of a training; measured, docs/LOG.md


def settings(config: Config) -> list[Any]:
    """Return what of the configuration the stage depends on.

    Of given models and tokenizers that is what their folders hold, not their names alone.
    """
    proxy = config.proxy
    given = [Path(name).expanduser() for name in (*proxy.models, *filter(None, [proxy.tokenizer]))]
    rates = [rate_of_width(width) for _, width in proxy.shapes]
    own = [rates] if min(rates) < 1 else []  # as it was for the widths of the default
    held = [_held(folder) for folder in given]
    return [_of_proxies(proxy), config.score.model_dump(), *held, *own]


def settings_of_training(config: Config) -> list[Any]:
    """Return what of these decides what the proxies are, and not what is scored by them."""
    proxy = {
        name: own for name, own in _of_proxies(config.proxy).items() if name != "retrain_above"
    }
    return [proxy, *settings(config)[2:]]


def _of_proxies(config: ProxyConfig) -> dict[str, Any]:
    """Return the settings of the proxies; what came later is left out as long as it is not used."""
    return config.model_dump(exclude=set() if config.seen_column else {"seen_column"})


def _held(folder: Path) -> list[list[Any]]:
    """Return name, bytes and a digest of each file of a model; of large ones of their ends."""
    files = [
        path
        for path in sorted(folder.glob("*"))
        if path.suffix in {".json", ".safetensors"} and path.is_file()
    ]
    return [[path.name, path.stat().st_size, _ends(path)] for path in files]


def _ends(path: Path) -> str:
    """Return a digest of the first and the last bytes of a file."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        digest.update(stream.read(ENDS))
        stream.seek(max(ENDS, path.stat().st_size - ENDS))
        digest.update(stream.read(ENDS))
    return digest.hexdigest()


def sequences(work: Work) -> Receipt:
    """Train or load the proxies, score a sample; write `sequences`, `contexts` and the models.

    A reduce stage. A killed run goes on from what it left in UNFINISHED, which is removed at the
    end.
    """
    from pipeline.score.proxy.pool import torch_threads

    known = documents_to_score(work)
    config = work.config.proxy
    with torch_threads(config.threads, exact=config.deterministic):
        receipt = _sequences(work, known)
    shutil.rmtree(work.folder / UNFINISHED, ignore_errors=True)
    return receipt


@dataclass(frozen=True)
class Material:
    """What was chosen and read before a proxy is trained.

    Attributes:
        known: the documents.
        language: the tokenizer of all models.
        texts: by number of the document, of the sample and of what is planted.
        reserved: documents whose passages are planted, by number.
        learnt: the rows of the sample.
        planted: what is planted beside it.
        lesson: what all of this teaches, for as long as the proxies are there.
    """

    known: Catalogue
    language: Language
    texts: dict[int, Text]
    reserved: Int64
    learnt: TrainingRows
    planted: Plants
    lesson: Lesson


def material(work: Work, known: Catalogue) -> Material:
    """Choose and read the sample and the plants; the same work gives the same.

    Args:
        work: of the stage.
        known: the documents.
    """
    from pipeline.score.proxy.pretrained import language_of
    from pipeline.score.proxy.tokenizer import Language, train_tokenizer
    from pipeline.score.sequences import plants
    from pipeline.score.sequences.training_rows import by_text, read_texts, sample_rows, tokenized

    config = work.config.proxy
    sample, reserved = chosen_sample(known, config)
    numbers = np.flatnonzero((sample.copies > 0) & np.isin(known.family, sample.families))
    numbers = np.union1d(numbers, reserved)
    language = language_of(config)
    read = read_texts(work, known, numbers)
    if language is None:
        in_order = (read[n] for n in by_text(known, numbers))
        language = Language(train_tokenizer(in_order, config.vocabulary))
    texts = tokenized(language.tokenizer, read, language.eos)
    learnt = sample_rows(known, NOTHING if config.models else sample, texts, config)
    planted = plants.planted(known, reserved, texts, config)
    lesson = lesson_of(work, known, sample, texts, learnt, language.size)
    return Material(known, language, texts, reserved, learnt, planted, lesson)


def chosen_sample(known: Catalogue, config: ProxyConfig) -> tuple[Sample, Int64]:
    """Return the families to read, and the documents whose passages are planted, by number."""
    from pipeline.score.sequences import plants

    reserved = plants.reserved(known, config)
    return sample_by_bytes(known, reserved, config.sample_tokens, config.seed), reserved


def to_score(work: Work, of: Material | Kept) -> ScoringInput:
    """Choose and read the sequences to score.

    A family that holds text of which passages are planted is not scored: the proxies saw some of
    it, and no dose of the sample tells of that.

    Args:
        work: of the stage.
        of: what the proxies were taught.
    """
    from pipeline.score.sequences.sequence_table import ScoringInput, trained
    from pipeline.score.sequences.training_rows import read_texts, tokenized

    known, lesson, seed = of.known, of.lesson, work.config.proxy.seed
    seen = trained(known, lesson) > 0
    planted = np.flatnonzero(lesson.families(known, planted=True)[known.family])
    most = sequences_at_most(work.config)
    wanted = want(known, seen, planted, lesson.bytes_per_token, most, seed)
    documents = wanted.documents()
    read = read_texts(work, known, np.setdiff1d(documents, np.array(sorted(of.texts), np.int64)))
    every = of.texts | tokenized(of.language.tokenizer, read, of.language.eos)
    own = {number: every[number] for number in documents.tolist()}
    lengths = {number: len(text.encoded.tokens) for number, text in own.items()}
    panel = choose(known, wanted, lengths, seed)
    return ScoringInput(known, lesson, panel, own, seen_rows(work, known))


def _trained_or_kept(
    work: Work, known: Catalogue, pool: WorkerPool
) -> tuple[list[Proxy], Material | Kept, ScoringInput]:
    """Return proxies, what they were taught, and what is scored by them.

    They are those of the last scoring, or trained or loaded. What is scored is chosen before a
    training, so that its time is known then, and whether there will be a forecast.

    Args:
        work: of the stage.
        known: the documents.
        pool: the threads that train.
    """
    from pipeline.score.proxy.ensemble import load_all, train_all
    from pipeline.score.sequences import plants
    from pipeline.score.sequences.dynamics import asked_rows
    from pipeline.score.sequences.kept import kept

    config = work.config.proxy
    found = kept(work, known, chosen_sample(known, config)[0])
    if found is not None:
        return found.proxies, found, to_score(work, found)
    of = material(work, known)
    size, asked = of.language.size, to_score(work, of)
    if config.models:
        tokens = corpus_tokens(known, of.lesson.bytes_per_token, asked.seen)
        if said := falling(config):
            current().message(said)
        return load_all(config, size, tokens), of, asked
    rows, half = plants.beside(of.learnt, of.planted)
    for line in _stated(rows, half, of, len(asked.panel.document), config, pool.workers):
        current().message(line)
    return train_all(rows, half, size, config, pool, asked_rows(of.planted)), of, asked


def _sequences(work: Work, known: Catalogue) -> Receipt:
    """Choose, read, train and score; write the tables and the models."""
    from pipeline.score.proxy.ensemble import cores_for
    from pipeline.score.proxy.pool import WorkerPool
    from pipeline.score.sequences.kept import Kept
    from pipeline.score.sequences.sequence_table import sequence_tables

    config = work.config.proxy
    unfinished = work.folder / UNFINISHED / work.key
    cores = cores_for(config, work.cores)
    pool = WorkerPool(cores, config.threads, current().advance, unfinished)
    proxies, source, of = _trained_or_kept(work, known, pool)
    scored, shorter = sequence_tables(work, of, proxies, pool)
    if isinstance(source, Kept):
        plants, dynamics = source.plants, source.dynamics
        models, sample, rows, told = source.files, source.facts, source.rows, source.told
    else:
        plants, dynamics = _of_training(work, source, proxies, pool)
        models = model_files(proxies, source.language, config)
        sample, rows = facts_of_sample(source.learnt, source.planted), len(source.learnt.rows)
        told = {}
    tables = (
        ("sequences", SEQUENCES, scored),
        ("contexts", CONTEXTS, shorter),
        ("plants", PLANTS, plants),
        ("dynamics", DYNAMICS, dynamics),
        ("taught", TAUGHT, taught_table(of.lesson)),
    )
    facts = facts_of(work, of, proxies, sample) | provenance(
        work, source.language, proxies, pool, told
    )
    models |= {
        PROXIES: as_json(facts),
        MANIFEST: as_json(manifest(known, of.lesson, rows, of.seen)),
    }
    files = [_written(work, *table) for table in tables]
    files += [write_file(work.folder, MODELS, name, data) for name, data in models.items()]
    return Receipt(tuple(files), len(known.row_key), len(scored), facts)


def _written(work: Work, name: str, schema: pa.Schema, table: pa.Table) -> FileRecord:
    with write_table(work.folder, name, work.key, schema) as out:
        out.write(table)
    return out.record


def _of_training(
    work: Work, of: Material, proxies: list[Proxy], pool: WorkerPool
) -> tuple[pa.Table, pa.Table]:
    """Return the rows of `plants`, and of `dynamics`, empty unless `proxy.marks` asks for it."""
    from pipeline.score.proxy.train import Schedule
    from pipeline.score.sequences.dynamics import dynamics_table
    from pipeline.score.sequences.plant_table import plant_table

    config = work.config.proxy
    schedule = Schedule(config.epochs, config.batch, config.rate, config.seed)
    return (
        plant_table(of.planted, proxies, of.language.tokenizer, pool),
        dynamics_table(of.planted, len(of.learnt.rows), proxies, schedule),
    )


def _stated(
    rows: Int64, half: Int64, of: Material, scored: int, config: ProxyConfig, workers: int
) -> Iterator[str]:
    """Yield what is said before the proxies are trained: how much there is to do, what is amiss.

    Args:
        rows: that are trained on, (rows, 65).
        half: of each, (rows,).
        of: what was chosen and read.
        scored: sequences of the corpus to score.
        config: the settings of the proxies.
        workers: trainings at a time.
    """
    from pipeline.score.proxy.cost import FITTED, seconds_of_proxies

    if said := foreseen(len(rows), scored, config):
        yield f"ALARM  {said}"
    if not len(rows):
        return
    trainings, tokens = len(config.shapes) + 2, rows[:, 1:].size * config.epochs
    asked = scored + int(of.planted.scored.sum())
    seconds = seconds_of_proxies(rows, half, of.language.size, config, workers, asked) + FITTED
    yield (
        f"{trainings} trainings of small models on up to {tokens:,} tokens, {asked:,} sequences to "
        f"score: about {max(1, round(seconds / 60))} min; fewer with a smaller proxy.sample_tokens"
    )


def falling(config: ProxyConfig) -> str:
    """Return that the tokens of the models fall in the order that these are given; else nothing.

    Args:
        config: the settings of the proxies.
    """
    told = config.trained_tokens
    if config.trained_on == "unknown" or isinstance(told, int) or list(told) == sorted(told):
        return ""
    at = next(n for n in range(1, len(told)) if told[n] < told[n - 1])
    return (
        f"proxy.trained_tokens falls from {told[at - 1]:,} ({config.models[at - 1]}) to "
        f"{told[at]:,} ({config.models[at]}): of models of one size the one with fewer counts as "
        "the earlier checkpoint, wherever it stands"
    )


def foreseen(rows: int, scored: int, config: ProxyConfig) -> str:
    """Return why there will be no forecast, as far as that is known before a training; else none.

    Args:
        rows: that are trained on, plants included.
        scored: sequences of the corpus to score.
        config: the settings of the proxies.
    """
    if not rows or not scored:
        what = "score" if rows else "train on"
        return (
            f"There will be no forecast: the corpus has no text of 64 tokens to {what}, beside "
            "what is held out and planted. What would help: more documents of at least 64 tokens, "
            "in families of their own."
        )
    steps = -(-rows // config.batch) * config.epochs
    if steps < FEW_STEPS:
        return (
            f"There may be no forecast: the proxies learn in {steps:,} steps, and in fewer than "
            f"{FEW_STEPS} they rarely remember enough. What would help: more text, more "
            "proxy.sample_tokens or proxy.epochs, a smaller proxy.batch."
        )
    return ""
