"""Sequences of 64 tokens, scored by small proxies that were trained on a sample of the corpus.

The sample is of whole families. Every sequence of it is a training row (EOS and the 64 tokens), so
each is scored in the context that it was learnt in. An eighth of the families is never trained on:
there the proxies' rate of memorized sequences is the floor. Text is read for the sample and for
what is scored, nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.panel import SEQUENCE, Panel, choose, want
from pipeline.progress import current
from pipeline.sampling import (
    COLUMNS,
    Catalogue,
    Int64,
    bytes_of_families,
    catalogue,
    choose_families,
    held_out,
)
from pipeline.sequence_counts import Places, occurrences, spelled, window_counts
from pipeline.signals.gap import gap_bits
from pipeline.signals.zlib import zlib_bits_per_byte
from pipeline.stage import FileRecord, Receipt, Work
from pipeline.store import read_table, write_file, write_table
from schemas.counts import COUNTS
from schemas.sequences import SEQUENCES, STATISTICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.lessons import Lessons, Text
    from pipeline.proxy.ensemble import Crew, Proxy
    from pipeline.proxy.statistics import Statistics

VERSION = 1
DEFAULT_TOKENS = 262_144
BYTES_PER_TOKEN = 4.0
MODELS = "models"
PROXIES = "proxies.json"
LABELS = "labels"


@dataclass(frozen=True)
class Scored:
    """The statistics of one proxy. rows: which of the panel's sequences it scored."""

    name: str
    rows: Int64
    seen: Int64
    values: Statistics


def sequences(work: Work) -> Receipt:
    """Reduce: train the proxies and score a sample of the corpus; write `sequences` and the models."""
    from pipeline.proxy.ensemble import torch_threads

    known = catalogue(read_table(work.paths("counts"), COUNTS, list(COLUMNS)))
    with torch_threads(work.config.proxy.threads):
        return _sequences(work, known)


def _sequences(work: Work, known: Catalogue) -> Receipt:
    from pipeline.lessons import by_text, lessons, read_texts, tokenized
    from pipeline.proxy.ensemble import Crew, train_all
    from pipeline.proxy.tokenizer import train_tokenizer

    config = work.config.proxy
    allowed = ~held_out(known, config.seed)
    budget = int(config.sample_tokens * BYTES_PER_TOKEN)
    sample = choose_families(known, bytes_of_families(known), budget, allowed, config.seed)
    numbers = np.flatnonzero(known.first & np.isin(known.family, sample.families))
    read = read_texts(work, known, numbers)
    tokenizer = train_tokenizer((read[n] for n in by_text(known, numbers)), config.vocabulary)
    texts = tokenized(tokenizer, read)
    learnt = lessons(known, sample, texts, config)
    size = tokenizer.get_vocab_size()
    crew = Crew(work.cores, config.threads, current().advance)
    proxies = train_all(learnt.rows, learnt.row_half, size, config, crew)
    wanted = want(
        known, _trained(known, learnt), _bytes_per_token(texts), _budget(work), config.seed
    )
    missing = np.setdiff1d(wanted.documents(), numbers)
    texts |= tokenized(tokenizer, read_texts(work, known, missing))
    panel = choose(
        known, wanted, {n: len(text.encoded.tokens) for n, text in texts.items()}, config.seed
    )
    table = _table(work, known, learnt, panel, texts, proxies, crew)
    with write_table(work.folder, "sequences", work.key, SEQUENCES) as out:
        out.write(table)
    facts = _facts(work, known, learnt, proxies, texts, panel)
    files = _write_models(work, proxies, tokenizer.to_str().encode(), facts)
    return Receipt((out.record, *files), len(known.row_key), out.rows, facts)


def _budget(work: Work) -> int:
    return (work.config.score.max_tokens or DEFAULT_TOKENS) // SEQUENCE


def _trained(known: Catalogue, learnt: Lessons) -> np.ndarray:
    """Return per document whether a proxy saw it."""
    seen = np.zeros(len(known.row_key), np.bool_)
    seen[learnt.documents] = True
    return np.asarray(seen[np.searchsorted(known.row_key, known.representative)])


def _bytes_per_token(texts: Mapping[int, Text]) -> float:
    tokens = sum(len(text.encoded.tokens) for text in texts.values())
    return (
        sum(int(text.encoded.ends[-1]) for text in texts.values() if tokens) / tokens
        if tokens
        else 3.0
    )


def _table(
    work: Work,
    known: Catalogue,
    learnt: Lessons,
    panel: Panel,
    texts: Mapping[int, Text],
    proxies: list[Proxy],
    crew: Crew,
) -> pa.Table:
    places = _places(known, panel, texts)
    words = spelled(work, places)
    by_half = _occurrences(work, known, learnt, panel, words.words)
    scored = _score(_tokens(panel, texts), by_half, proxies, crew)
    names = np.array(
        [known.family_names[number] for number in known.family[panel.document]], object
    )
    columns = {
        "row_key": places.row_key,
        "start_byte": places.start_byte,
        "end_byte": places.end_byte,
        "start_token": panel.start_token,
        "document_sequences": panel.of_document,
        "family": pa.array(names, pa.string()),
        "stratum": pa.array(
            np.where(panel.sampled, "sampled", "repeated").astype(object), pa.string()
        ),
        "weight": panel.weight,
        "sequence_count": by_half.sum(1),
        "window_count": window_counts(work, places, words),
        "effective_count": known.effective_count[panel.document],
        "gap_bits": _gaps(scored, len(panel.document)),
        "zlib_bits_per_byte": _compressed(places, panel, texts),
        "proxies": _nested(scored, len(panel.document)),
    }
    return pa.table(columns)


def _places(known: Catalogue, panel: Panel, texts: Mapping[int, Text]) -> Places:
    pairs = list(zip(panel.document.tolist(), panel.start_token.tolist(), strict=True))
    first = [texts[number].encoded.starts[start] for number, start in pairs]
    last = [texts[number].encoded.ends[start + SEQUENCE - 1] for number, start in pairs]
    return Places(
        known.row_key[panel.document], np.array(first, np.int64), np.array(last, np.int64)
    )


def _occurrences(
    work: Work, known: Catalogue, learnt: Lessons, panel: Panel, words: list[bytes]
) -> Int64:
    """Return [sequence, 3]: occurrences in documents that no proxy saw, in half 0 and in half 1.

    A sequence without whole words counts as often as its document does.
    """
    group = np.zeros(len(known.row_key), np.int64)
    group[learnt.documents] = 1 + learnt.half
    group = group[np.searchsorted(known.row_key, known.representative)]
    counts = occurrences(work, words, (known.row_key, group), 3)
    wordless = np.array([not run for run in words], np.bool_)
    own = panel.document[wordless]
    counts[wordless] = 0
    counts[np.flatnonzero(wordless), group[own]] = known.exact_count[own]
    return counts


def _tokens(panel: Panel, texts: Mapping[int, Text]) -> Int64:
    from pipeline.lessons import token_rows

    pairs = zip(panel.document.tolist(), panel.start_token.tolist(), strict=True)
    rows = [token_rows(texts[number], np.array([start])) for number, start in pairs]
    return np.concatenate([np.zeros((0, SEQUENCE + 1), np.int64), *rows])


def _score(tokens: Int64, by_half: Int64, proxies: list[Proxy], crew: Crew) -> list[Scored]:
    """Score each distinct sequence once by every proxy; proxies after one epoch only what they saw."""
    from pipeline.proxy.ensemble import score_all

    distinct, place = np.unique(tokens, axis=0, return_inverse=True)
    none = np.zeros(len(tokens), np.int64)
    seen = [sum((by_half[:, 1 + half] for half in proxy.halves), none) for proxy in proxies]
    rows = [
        np.flatnonzero(times) if proxy.role == "early" else np.arange(len(tokens))
        for proxy, times in zip(proxies, seen, strict=True)
    ]
    needed = [np.unique(place[own], return_inverse=True) for own in rows]
    values = score_all(proxies, [distinct[unique] for unique, _ in needed], crew)
    return [
        Scored(
            proxy.name,
            rows[number],
            seen[number][rows[number]] * proxy.epochs,
            {name: column[needed[number][1]] for name, column in values[number].items()},
        )
        for number, proxy in enumerate(proxies)
    ]


def _gaps(scored: list[Scored], rows: int) -> pa.Array:
    from pipeline.proxy.ensemble import HALVES

    pair = [one for one in scored if one.name in HALVES]
    if len(pair) < len(HALVES):
        return pa.nulls(rows, pa.float32())
    log_p = [one.values["log_p_z"].astype(np.float64) for one in pair]
    bits = gap_bits(log_p[0], log_p[1], np.stack([one.seen for one in pair], axis=1))
    return pa.array(bits.astype(np.float32), mask=np.isnan(bits))


def _compressed(places: Places, panel: Panel, texts: Mapping[int, Text]) -> np.ndarray:
    raw: dict[int, bytes] = {}
    bits = np.zeros(len(panel.document), np.float32)
    for row, number in enumerate(panel.document.tolist()):
        data = raw.setdefault(number, texts[number].text.encode())
        bits[row] = zlib_bits_per_byte(data[places.start_byte[row] : places.end_byte[row]])
    return bits


def _nested(scored: list[Scored], rows: int) -> pa.Array:
    """Return the list column `proxies`: per sequence one struct for each proxy that scored it, in
    their order.
    """
    kind = SEQUENCES.field("proxies").type
    row = np.concatenate([np.zeros(0, np.int64), *(one.rows for one in scored)])
    order = np.argsort(row, kind="stable")
    columns = [
        np.repeat(np.array([one.name for one in scored], object), [len(one.rows) for one in scored])
    ]
    columns.append(np.concatenate([np.zeros(0, np.int64), *(one.seen for one in scored)]))
    for statistic in STATISTICS[1:]:
        columns.append(
            np.concatenate([np.zeros(0), *(one.values[statistic.name] for one in scored)])
        )
    arrays = [
        pa.array(column[order]).cast(field.type)
        for column, field in zip(columns, kind.value_type, strict=True)
    ]
    ends = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=rows)))).astype(np.int32)
    values = pa.StructArray.from_arrays(arrays, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(pa.array(ends), values, type=kind)


def _facts(
    work: Work,
    known: Catalogue,
    learnt: Lessons,
    proxies: list[Proxy],
    texts: Mapping[int, Text],
    panel: Panel,
) -> dict[str, Any]:
    import torch

    config = work.config.proxy
    per_token = _bytes_per_token(texts)
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
    """Write each proxy as a folder that transformers loads, and the facts that `risk` needs about
    them.
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
