"""Sequences of 64 tokens, scored by small proxies that were trained on a sample of the corpus.

The sample is of whole families. Every sequence of it is a training row (EOS and the 64 tokens), so
each is scored in the context that it was learnt in. An eighth of the families is never trained on:
there the proxies' rate of memorized sequences is the floor. Text is read for the sample and for
what is scored, nothing else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config import ProxyConfig
from pipeline.panel import SEQUENCE, choose, want
from pipeline.progress import current
from pipeline.sampling import (
    COLUMNS,
    Catalogue,
    Sample,
    bytes_of_families,
    catalogue,
    choose_families,
    held_out,
)
from pipeline.stage import FileRecord, Receipt, Work
from pipeline.store import read_table, write_file, write_table
from schemas.counts import COUNTS
from schemas.sequences import SEQUENCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.lessons import Text
    from pipeline.proxy.ensemble import Proxy
    from pipeline.sequence_table import Material

VERSION = 2
DEFAULT_TOKENS = 262_144
BYTES_PER_TOKEN = 4.0
MODELS = "models"
PROXIES = "proxies.json"


def sequences(work: Work) -> Receipt:
    """Reduce: train the proxies, score a sample; write `sequences` and the models."""
    from pipeline.proxy.ensemble import torch_threads

    known = catalogue(read_table(work.paths("counts"), COUNTS, list(COLUMNS)))
    with torch_threads(work.config.proxy.threads):
        return _sequences(work, known)


def _sequences(work: Work, known: Catalogue) -> Receipt:
    from pipeline.lessons import by_text, lessons, read_texts, tokenized
    from pipeline.proxy.ensemble import Crew, train_all
    from pipeline.proxy.tokenizer import train_tokenizer
    from pipeline.sequence_table import Material, sequence_table, trained

    config = work.config.proxy
    sample = _sample(known, config)
    numbers = np.flatnonzero(known.first & np.isin(known.family, sample.families))
    read = read_texts(work, known, numbers)
    tokenizer = train_tokenizer((read[n] for n in by_text(known, numbers)), config.vocabulary)
    texts = tokenized(tokenizer, read)
    learnt = lessons(known, sample, texts, config)
    size = tokenizer.get_vocab_size()
    crew = Crew(work.cores, config.threads, current().advance)
    proxies = train_all(learnt.rows, learnt.row_half, size, config, crew)
    seen = trained(known, learnt) > 0
    wanted = want(known, seen, _bytes_per_token(texts), _budget(work), config.seed)
    missing = np.setdiff1d(wanted.documents(), numbers)
    texts |= tokenized(tokenizer, read_texts(work, known, missing))
    lengths = {number: len(text.encoded.tokens) for number, text in texts.items()}
    material = Material(known, learnt, choose(known, wanted, lengths, config.seed), texts)
    with write_table(work.folder, "sequences", work.key, SEQUENCES) as out:
        out.write(sequence_table(work, material, proxies, crew))
    facts = _facts(work, material, proxies)
    files = _write_models(work, proxies, tokenizer.to_str().encode(), facts)
    return Receipt((out.record, *files), len(known.row_key), out.rows, facts)


def _sample(known: Catalogue, config: ProxyConfig) -> Sample:
    """Return the families to read: by bytes, about as many as the budget of tokens will hold."""
    allowed = ~held_out(known, config.seed)
    budget = int(config.sample_tokens * BYTES_PER_TOKEN)
    return choose_families(known, bytes_of_families(known), budget, allowed, config.seed)


def _budget(work: Work) -> int:
    return (work.config.score.max_tokens or DEFAULT_TOKENS) // SEQUENCE


def _bytes_per_token(texts: Mapping[int, Text]) -> float:
    tokens = sum(len(text.encoded.tokens) for text in texts.values())
    size = sum(len(text.text.encode()) for text in texts.values())
    return size / tokens if tokens else BYTES_PER_TOKEN


def _facts(work: Work, of: Material, proxies: list[Proxy]) -> dict[str, Any]:
    import torch

    config, panel, learnt, known = work.config.proxy, of.panel, of.learnt, of.known
    per_token = _bytes_per_token(of.texts)
    kept_out = held_out(known, config.seed)
    return {
        "proxies": [_about(proxy) for proxy in proxies],
        "sample": {
            "families": learnt.families,
            "documents": int(known.exact_count[learnt.documents].sum()),
            "tokens": learnt.tokens,
            "training_sequences": len(learnt.rows),
            "epochs": config.epochs,
            "families_too_large_for_it": learnt.skipped,
            "families_never_trained_on": int(kept_out.sum()),
            "families_of_the_corpus": len(kept_out),
        },
        "scored": {
            "sequences": len(panel.document),
            "of_repeated_text_by_count": int((~panel.sampled).sum()),
            "of_a_stratified_sample": int(panel.sampled.sum()),
            "tokens": len(panel.document) * SEQUENCE,
            "tokens_at_most": _budget(work) * SEQUENCE,
            "documents": len(np.unique(panel.document)),
        },
        "corpus_tokens": round(float(known.text_bytes.sum()) / per_token),
        "bytes_per_token": round(per_token, 3),
        "torch": str(torch.__version__),
        "threads": config.threads,
        "device": proxies[0].device if proxies else "none",
    }


def _about(proxy: Proxy) -> dict[str, Any]:
    return {
        "proxy": proxy.name,
        "role": proxy.role,
        "parameters": proxy.parameters,
        "epochs": proxy.epochs,
        "tokens": proxy.tokens,
        "final_loss": None if np.isnan(proxy.loss) else round(proxy.loss, 4),
    }


def _write_models(
    work: Work, proxies: list[Proxy], tokenizer: bytes, facts: dict[str, Any]
) -> list[FileRecord]:
    """Write each proxy as a folder that transformers loads.

    Beside them go the facts that `risk` needs.
    """
    from pipeline.proxy.model import config_json, to_safetensors
    from pipeline.proxy.tokenizer import EOS_ID, tokenizer_config

    parts = {PROXIES: (json.dumps(facts, sort_keys=True) + "\n").encode()}
    for proxy in proxies:
        if proxy.role != "early":
            parts[f"{proxy.name}/config.json"] = config_json(proxy.model.shape, EOS_ID)
            parts[f"{proxy.name}/model.safetensors"] = to_safetensors(proxy.model)
            parts[f"{proxy.name}/tokenizer.json"] = tokenizer
            parts[f"{proxy.name}/tokenizer_config.json"] = tokenizer_config()
    return [write_file(work.folder, MODELS, name, data) for name, data in parts.items()]
