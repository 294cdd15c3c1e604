"""The facts of scoring: with what proxies were made, on how much, and what was scored by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config.sections import Config
from pipeline.engine.stage import Work
from pipeline.score.sequences import plants
from pipeline.score.sequences.catalogue import Catalogue
from pipeline.score.sequences.models import about
from pipeline.score.sequences.plants import Plants, beside
from pipeline.score.sequences.sampling import held_out
from pipeline.score.slices import SEQUENCE
from pipeline.text.arrays import Flags

if TYPE_CHECKING:
    from pipeline.score.proxy.ensemble import Proxy
    from pipeline.score.proxy.pool import WorkerPool
    from pipeline.score.proxy.tokenizer import Language
    from pipeline.score.sequences.sequence_table import ScoringInput
    from pipeline.score.sequences.training_rows import TrainingRows

SHORT = "rows_at_once_for_want_of_memory"
DEFAULT_TOKENS = {"cpu": 262_144, "cuda": 200_000_000}


def sequences_at_most(config: Config) -> int:
    """Return the sequences to score at most."""
    from pipeline.score.proxy.ensemble import chosen_device

    default = DEFAULT_TOKENS[chosen_device(config.proxy)]
    return (config.score.max_tokens or default) // SEQUENCE


def corpus_tokens(known: Catalogue, bytes_per_token: float, rows: Flags | None = None) -> int:
    """Return the tokens of the corpus, or of some of its rows, about."""
    own = known.text_bytes if rows is None else known.text_bytes[rows]
    return round(float(own.sum()) / bytes_per_token)


def facts_of_sample(learnt: TrainingRows, planted: Plants) -> dict[str, Any]:
    """Return the facts of a training that are true of it as long as its proxies are there."""
    return {
        "sample": {
            "families": learnt.families,
            "documents": int(learnt.copies.sum()),
            "tokens": learnt.tokens,
            "training_sequences": len(learnt.rows),
            "families_in_part": learnt.in_part,
            "families_too_large_for_it": learnt.skipped,
        },
        "plants": plants.about(planted, beside(learnt, planted)[0]),
    }


def facts_of(
    work: Work, of: ScoringInput, proxies: list[Proxy], training: dict[str, Any]
) -> dict[str, Any]:
    """Return the facts of the stage: proxies, sample, and what was scored.

    Args:
        work: of the stage.
        of: what was scored.
        proxies: the models.
        training: the facts of their training.
    """
    config, panel, known = work.config.proxy, of.panel, of.known
    apart = held_out(known, config.seed) & ~of.lesson.families(known, planted=False)
    size, taught = of.bytes_per_token(), training["sample"]["tokens"]
    tokens = corpus_tokens(known, size)
    of_now = {
        "epochs": config.epochs,
        "families_never_trained_on": int(apart.sum()),
        "families_of_the_corpus": len(apart),
        "dilution": round(tokens / taught, 3) if taught else None,
    }
    return training | {
        "proxies": [about(proxy) for proxy in proxies],
        "sample": training["sample"] | of_now,
        "scored": {
            "sequences": len(panel.document),
            "of_repeated_text_by_count": int((~panel.sampled).sum()),
            "of_a_stratified_sample": int(panel.sampled.sum()),
            "tokens": len(panel.document) * SEQUENCE,
            "tokens_at_most": sequences_at_most(work.config) * SEQUENCE,
            "documents": len(np.unique(panel.document)),
        },
        "corpus_tokens": tokens,
        "bytes_per_token": round(size, 3),
    }


def provenance(
    work: Work, language: Language, proxies: list[Proxy], pool: WorkerPool, told: dict[str, Any]
) -> dict[str, Any]:
    """Return with what the models were made: tokenizer, seeds, machine, and what was short.

    Args:
        work: of the stage.
        language: the tokenizer.
        proxies: the models.
        pool: the threads that trained and scored.
        told: the facts of the last scoring, where its proxies are kept; else none.
    """
    import torch

    from pipeline.score.proxy.ensemble import TRAINING_JOB, chosen_device
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
    }
    here = {
        "torch": str(torch.__version__),
        "threads": config.threads,
        "device": proxies[0].device if proxies else "none",
        "precision": precision_of(chosen_device(config)),
    }
    facts |= {name: told.get(name, own) for name, own in here.items()}
    if other := {name: own for name, own in here.items() if facts[name] != own}:
        facts["scored_with"] = other
    trained = {job: n for job, n in told.get(SHORT, {}).items() if job.startswith(TRAINING_JOB)}
    if short := trained | pool.short:
        facts[SHORT] = dict(sorted(short.items()))
    if pool.relabelled:
        facts["rows_scored_again_in_fp32"] = dict(sorted(pool.relabelled.items()))
    if config.models and config.trained_on == "unknown":
        facts["seen"] = "unknown: the proxies were loaded; 0 stands for it"
    if config.models and config.trained_on == "corpus":
        which = "the rows that a column names" if config.seen_column else "all of this corpus"
        part = ", earlier checkpoints in proportion to their tokens"
        earlier = any(proxy.share < 1.0 for proxy in proxies)
        facts["seen"] = f"as declared: the loaded proxies saw {which}{part if earlier else ''}"
    return facts
