"""The stage of scoring: sequences of 64 tokens, scored by proxies trained on a sample.

The sample is of families. Every sequence of it is a training row (EOS and the 64 tokens), so
each is scored in the context that it was learnt in. An eighth of the families is never trained on:
there the proxies' rate of memorized sequences is the floor. Text is read for the sample and for
what is scored, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config.sections import Config, ProxyConfig
from pipeline.engine.files import write_file
from pipeline.engine.progress import current
from pipeline.engine.stage import FileRecord, Receipt, Work
from pipeline.engine.tables import read_table, write_table
from pipeline.score.proxy.rates import rate_of_width
from pipeline.score.sequences.catalogue import COLUMNS, Catalogue, catalogue
from pipeline.score.sequences.panel import choose, want
from pipeline.score.sequences.sampling import (
    NOTHING,
    Sample,
    choose_families,
    held_out,
)
from pipeline.score.slices import SEQUENCE
from pipeline.text.arrays import Int64
from schemas.scan.counts import COUNTS
from schemas.score.contexts import CONTEXTS
from schemas.score.dynamics import DYNAMICS
from schemas.score.plants import PLANTS
from schemas.score.sequences import SEQUENCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.score.proxy.ensemble import Proxy
    from pipeline.score.proxy.pool import WorkerPool
    from pipeline.score.proxy.tokenizer import Language
    from pipeline.score.sequences.plants import Plants
    from pipeline.score.sequences.sequence_table import ScoringInput
    from pipeline.score.sequences.training_rows import Text, TrainingRows

VERSION = 8
DEFAULT_TOKENS = {"cpu": 262_144, "cuda": 200_000_000}
BYTES_PER_TOKEN = 4.0  # before a tokenizer is known
MODELS = "models"
PROXIES = "proxies.json"
MANIFEST = "sample.json"
UNFINISHED = ".unfinished"
ENDS = 1 << 20  # bytes


def settings(config: Config) -> list[Any]:
    """Return what of the configuration the stage depends on.

    Of given models and tokenizers that is what their folders hold, not their names alone.
    """
    proxy = config.proxy
    given = [Path(name).expanduser() for name in (*proxy.models, *filter(None, [proxy.tokenizer]))]
    rates = [rate_of_width(width) for _, width in proxy.shapes]
    own = [rates] if min(rates) < 1 else []  # as it was for the widths of the default
    held = [_held(folder) for folder in given]
    return [proxy.model_dump(), config.score.model_dump(), *held, *own]


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

    known = catalogue(read_table(work.paths("counts"), COUNTS, list(COLUMNS)))
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
    """

    known: Catalogue
    language: Language
    texts: dict[int, Text]
    reserved: Int64
    learnt: TrainingRows
    planted: Plants


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
    reserved = plants.reserved(known, config)
    sample = _sample(known, reserved, config)
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
    return Material(known, language, texts, reserved, learnt, planted)


def to_score(work: Work, of: Material) -> ScoringInput:
    """Choose and read the sequences to score.

    Args:
        work: of the stage.
        of: what proxies are trained on.
    """
    from pipeline.score.sequences.sequence_table import ScoringInput, trained
    from pipeline.score.sequences.training_rows import read_texts, tokenized

    known, seed = of.known, work.config.proxy.seed
    seen = trained(known, of.learnt) > 0
    wanted = want(known, seen, of.reserved, _bytes_per_token(of.texts), _budget(work), seed)
    missing = np.setdiff1d(wanted.documents(), np.array(sorted(of.texts), np.int64))
    read = read_texts(work, known, missing)
    texts = of.texts | tokenized(of.language.tokenizer, read, of.language.eos)
    lengths = {number: len(text.encoded.tokens) for number, text in texts.items()}
    return ScoringInput(known, of.learnt, choose(known, wanted, lengths, seed), texts)


def _sequences(work: Work, known: Catalogue) -> Receipt:
    """Choose, read, train and score; write the tables and the models."""
    from pipeline.score.proxy.ensemble import cores_for, load_all, train_all, training_seconds
    from pipeline.score.proxy.pool import WorkerPool
    from pipeline.score.sequences import plants
    from pipeline.score.sequences.dynamics import asked_rows
    from pipeline.score.sequences.plant_table import plant_table
    from pipeline.score.sequences.sequence_table import sequence_tables

    config = work.config.proxy
    of = material(work, known)
    size = of.language.size
    rows, half = plants.beside(of.learnt, of.planted)
    unfinished = work.folder / UNFINISHED / work.key
    cores = cores_for(config, work.cores)
    pool = WorkerPool(cores, config.threads, current().advance, unfinished)
    if config.models:
        proxies = load_all(config, size, _corpus_tokens(known, of.texts))
    else:
        seconds = training_seconds(rows, half, size, config, pool.workers)
        current().message(_stated(rows, config, seconds))
        proxies = train_all(rows, half, size, config, pool, asked_rows(of.planted))
    scored_input = to_score(work, of)
    scored, shorter = sequence_tables(work, scored_input, proxies, pool)
    with write_table(work.folder, "sequences", work.key, SEQUENCES) as out:
        out.write(scored)
    with write_table(work.folder, "contexts", work.key, CONTEXTS) as of_contexts:
        of_contexts.write(shorter)
    with write_table(work.folder, "plants", work.key, PLANTS) as of_plants:
        of_plants.write(plant_table(of.planted, proxies, of.language.tokenizer, pool))
    of_dynamics = _write_dynamics(work, of, proxies)
    facts = _facts(work, scored_input, proxies) | _provenance(work, of.language, pool)
    facts["plants"] = plants.about(of.planted, rows)
    files = _write_models(work, scored_input, proxies, of.language, facts)
    tables = (out.record, of_contexts.record, of_plants.record, of_dynamics)
    return Receipt((*tables, *files), len(known.row_key), out.rows, facts)


def _write_dynamics(work: Work, of: Material, proxies: list[Proxy]) -> FileRecord:
    """Write the table `dynamics`, which is empty unless `proxy.marks` asks for it."""
    from pipeline.score.proxy.train import Schedule
    from pipeline.score.sequences.dynamics import dynamics_table

    config = work.config.proxy
    schedule = Schedule(config.epochs, config.batch, config.rate, config.seed)
    with write_table(work.folder, "dynamics", work.key, DYNAMICS) as out:
        out.write(dynamics_table(of.planted, len(of.learnt.rows), proxies, schedule))
    return out.record


def _sample(known: Catalogue, reserved: Int64, config: ProxyConfig) -> Sample:
    """Return the families to read: by bytes, about as many as the budget of tokens will hold."""
    allowed = ~held_out(known, config.seed)
    allowed[known.family[reserved]] = False
    budget = int(config.sample_tokens * BYTES_PER_TOKEN)
    return choose_families(known, known.text_bytes, budget, allowed, config.seed)


def _budget(work: Work) -> int:
    """Return the sequences to score at most."""
    from pipeline.score.proxy.ensemble import chosen_device

    default = DEFAULT_TOKENS[chosen_device(work.config.proxy)]
    return (work.config.score.max_tokens or default) // SEQUENCE


def _bytes_per_token(texts: Mapping[int, Text]) -> float:
    """Return the mean bytes of a token in the texts read."""
    tokens = sum(len(text.encoded.tokens) for text in texts.values())
    size = sum(len(text.text.encode()) for text in texts.values())
    return size / tokens if tokens else BYTES_PER_TOKEN


def _corpus_tokens(known: Catalogue, texts: Mapping[int, Text]) -> int:
    """Return the tokens of the corpus, about."""
    return round(float(known.text_bytes.sum()) / _bytes_per_token(texts))


def _stated(rows: Int64, config: ProxyConfig, seconds: float) -> str:
    """Return what is said before the proxies are trained: how much there is to do."""
    trainings, tokens = len(config.shapes) + 2, rows[:, 1:].size * config.epochs
    return (
        f"{trainings} trainings of small models on up to {tokens:,} tokens, about "
        f"{max(1, round(seconds / 60))} min; fewer with a smaller proxy.sample_tokens"
    )


def _facts(work: Work, of: ScoringInput, proxies: list[Proxy]) -> dict[str, Any]:
    """Return the facts of the stage: proxies, sample, what was scored, and the machine."""
    import torch

    config, panel, learnt, known = work.config.proxy, of.panel, of.learnt, of.known
    corpus_tokens = _corpus_tokens(known, of.texts)
    kept_out = held_out(known, config.seed)
    return {
        "proxies": [_about(proxy) for proxy in proxies],
        "sample": {
            "families": learnt.families,
            "documents": int(learnt.copies.sum()),
            "tokens": learnt.tokens,
            "training_sequences": len(learnt.rows),
            "epochs": config.epochs,
            "families_in_part": learnt.in_part,
            "families_too_large_for_it": learnt.skipped,
            "families_never_trained_on": int(kept_out.sum()),
            "families_of_the_corpus": len(kept_out),
            "dilution": round(corpus_tokens / learnt.tokens, 3) if learnt.tokens else None,
        },
        "scored": {
            "sequences": len(panel.document),
            "of_repeated_text_by_count": int((~panel.sampled).sum()),
            "of_a_stratified_sample": int(panel.sampled.sum()),
            "tokens": len(panel.document) * SEQUENCE,
            "tokens_at_most": _budget(work) * SEQUENCE,
            "documents": len(np.unique(panel.document)),
        },
        "corpus_tokens": corpus_tokens,
        "bytes_per_token": round(_bytes_per_token(of.texts), 3),
        "torch": str(torch.__version__),
        "threads": config.threads,
        "device": proxies[0].device if proxies else "none",
    }


def _provenance(work: Work, language: Language, pool: WorkerPool) -> dict[str, Any]:
    """Return with what the models were made: tokenizer, seeds, precision, and what was short."""
    from pipeline.score.proxy.ensemble import chosen_device
    from pipeline.score.proxy.precision import precision_of

    config = work.config.proxy
    facts: dict[str, Any] = {
        "tokenizer": {
            "digest": language.digest,
            "tokens": language.size,
            "end_of_text": language.eos,
            "trained_here": not (config.tokenizer or config.models),
        },
        "seeds": {"sample": config.seed, "initial_weights": config.seed, "order": config.seed},
        "precision": precision_of(chosen_device(config)),
    }
    if pool.short:
        facts["rows_at_once_for_want_of_memory"] = dict(sorted(pool.short.items()))
    if pool.relabelled:
        facts["rows_scored_again_in_fp32"] = dict(sorted(pool.relabelled.items()))
    if config.models and config.trained_on == "unknown":
        facts["seen"] = "unknown: the proxies were loaded; 0 stands for it"
    if config.models and config.trained_on == "corpus":
        facts["seen"] = "as declared: the loaded proxies saw all of this corpus"
    return facts


def _about(proxy: Proxy) -> dict[str, Any]:
    """Return the facts of one proxy."""
    return {
        "proxy": proxy.name,
        "role": proxy.role,
        "parameters": proxy.parameters,
        "epochs": proxy.epochs,
        "tokens": proxy.tokens,
        "final_loss": None if np.isnan(proxy.loss) else round(proxy.loss, 4),
        **({"source": proxy.source, "digest": proxy.identity} if proxy.source else {}),
    }


def _write_models(
    work: Work, of: ScoringInput, proxies: list[Proxy], language: Language, facts: dict[str, Any]
) -> list[FileRecord]:
    """Write each trained proxy as a folder that transformers loads.

    Beside them go the facts that `risk` needs, and which families the proxies were trained on.
    """
    from pipeline.score.proxy.model import Transformer, config_json, to_safetensors
    from pipeline.score.proxy.tokenizer import tokenizer_config

    parts = {PROXIES: _as_json(facts), MANIFEST: _as_json(_manifest(of))}
    spoken = {
        "tokenizer.json": language.stored,
        "tokenizer_config.json": tokenizer_config(language.eos_name),
    }
    for proxy in proxies:
        if proxy.role != "early" and isinstance(proxy.model, Transformer):
            parts[f"{proxy.name}/config.json"] = config_json(proxy.model.shape, language.eos)
            parts[f"{proxy.name}/model.safetensors"] = to_safetensors(proxy.model)
            parts |= {f"{proxy.name}/{name}": data for name, data in spoken.items()}
    if work.config.proxy.models:
        parts |= {f"tokenizer/{name}": data for name, data in spoken.items()}
    return [write_file(work.folder, MODELS, name, data) for name, data in parts.items()]


def _manifest(of: ScoringInput) -> dict[str, Any]:
    """Return the families whose sequences were trained on, each with its half."""
    names, family = of.known.family_names, of.known.family[of.learnt.documents]
    halves = {
        names[number]: half
        for number, half in zip(family.tolist(), of.learnt.half.tolist(), strict=True)
    }
    return {"half_of_family": dict(sorted(halves.items())), "rows": len(of.learnt.rows)}


def _as_json(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True) + "\n").encode()
