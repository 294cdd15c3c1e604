"""Write the Bloom filter of MemFree decoding: runs of tokens of the sequences at risk.

A decoder looks up each run before it emits its last token, and emits another token where the filter
holds the run (Ippolito et al. 2022). This stops verbatim output only: the facts say how much of the
same text with other letters or spaces it misses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from pipeline.engine.files import write_file
from pipeline.engine.stage import FileRecord, Work
from pipeline.engine.tables import read_table
from pipeline.engine.texts import texts_of_rows
from pipeline.filter.mitigations.bloom import Bloom, bloom, to_bytes
from pipeline.filter.mitigations.goldfish import load_tokenizer, token_ids
from pipeline.score.proxy.tokenizer import encode
from pipeline.text.arrays import Uint64
from schemas.score.risk import RISK

FOLDER, FILE = "mitigation", "memfree.bloom"
TRIED = 100_000  # runs that were not entered, to measure the rate of false positives
CHANGED = 200  # sequences that are looked up again after a change
CHANGES: dict[str, Callable[[str], str]] = {
    "upper case": lambda text: text.upper(),
    "two spaces for one": lambda text: text.replace(" ", "  "),
    "line breaks for spaces": lambda text: text.replace(" ", "\n"),
}


def memfree(work: Work) -> tuple[FileRecord, dict[str, Any]]:
    """Write mitigation/memfree.bloom and return its record and the facts measured about it."""
    config = work.config.mitigation
    risk = read_table(work.paths("risk"), RISK, ["row_key", "start_byte", "end_byte", "risk"])
    risky = risk.filter(pc.greater_equal(risk["risk"], config.memfree_risk))
    texts = dict(texts_of_rows(work.shards, work.config.input, risky["row_key"].to_numpy()))
    tokenizer = load_tokenizer(work.config, work.paths("models"))
    inside, passages, others = _tokens(tokenizer, risky, texts)
    runs = distinct(inside, config.memfree_n)
    made = bloom(runs, config.memfree_n, config.memfree_bits)
    record = write_file(work.folder, FOLDER, FILE, to_bytes(made))
    facts = {
        "sequences": risky.num_rows,
        "runs": made.items,
        "n": made.n,
        "bits": 2**made.bits,
        "hashes": made.hashes,
        "false_positives_expected": round(made.expected_rate(), 8),
        "false_positives_of_random_runs": _of_random(made, runs, tokenizer.get_vocab_size()),
        "false_positives_of_other_text": _of_text(made, runs, others),
        "missed_after": _missed(made, tokenizer, passages),
    }
    return replace(record, table=FOLDER), facts


def _tokens(
    tokenizer: Tokenizer, risky: pa.Table, texts: dict[int, str]
) -> tuple[list[Uint64], list[str], list[Uint64]]:
    """Return the tokens of each risky sequence, its text, and the tokens of each whole document."""
    keys = list(texts)
    encoded = dict(zip(keys, encode(tokenizer, [texts[key] for key in keys]), strict=True))
    raw = {key: text.encode() for key, text in texts.items()}
    inside, passages = [], []
    columns = (risky[name].to_pylist() for name in ("row_key", "start_byte", "end_byte"))
    for key, start, end in zip(*columns, strict=True):
        document = encoded[key]
        chosen = (document.starts >= start) & (document.ends <= end)
        inside.append(document.tokens[chosen].astype(np.uint64))
        passages.append(raw[key][start:end].decode())
    return inside, passages, [one.tokens.astype(np.uint64) for one in encoded.values()]


def distinct(sequences: list[Uint64], n: int) -> Uint64:
    """Return the distinct runs of n tokens in some sequences, sorted, (runs, n)."""
    views = [
        np.lib.stride_tricks.sliding_window_view(tokens, n)
        for tokens in sequences
        if tokens.size >= n
    ]
    if not views:
        return np.zeros((0, n), np.uint64)
    return np.ascontiguousarray(np.unique(np.concatenate(views), axis=0))


def _of_random(made: Bloom, runs: Uint64, vocabulary: int) -> float | None:
    """Return the rate of false positives of random runs; None where all were entered."""
    drawn = np.random.default_rng(1).integers(0, vocabulary, (TRIED, made.n))
    return false_rate(made, runs, drawn.astype(np.uint64))


def _of_text(made: Bloom, runs: Uint64, documents: list[Uint64]) -> float | None:
    """Return the rate of false positives of other runs in the documents of risky sequences."""
    tried, size = [], 0
    for tokens in documents:
        tried.append(tokens)
        size += tokens.size
        if size > TRIED:
            break
    return false_rate(made, runs, distinct(tried, made.n))


def false_rate(made: Bloom, runs: Uint64, tried: Uint64) -> float | None:
    """Return the share that the filter holds of runs that were not entered; None without any.

    Args:
        made: the filter.
        runs: the runs that were entered, (runs, n).
        tried: the runs to look up, (tried, n).
    """
    entered = {run.tobytes() for run in runs}
    new = np.array([run.tobytes() not in entered for run in tried], np.bool_)
    if not new.any():
        return None
    held = made.holds(np.ascontiguousarray(tried).reshape(-1))[:: made.n]
    return round(float(held[new].mean()), 8)


def _missed(made: Bloom, tokenizer: Tokenizer, passages: list[str]) -> dict[str, float]:
    """Return, by kind of change, the share of changed sequences of which no run is held."""
    chosen = passages[:CHANGED]
    found = {}
    for name, change in CHANGES.items():
        changed = [change(text) for text in chosen]
        ids = token_ids(tokenizer, changed)
        missed = [not made.holds(tokens).any() for tokens in ids]
        found[name] = round(sum(missed) / max(1, len(missed)), 4)
    return found
