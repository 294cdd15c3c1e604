"""Write the Bloom filters of MemFree decoding: runs of tokens, or of words, of what is at risk.

A decoder looks up each run before it emits its last token, and emits another token where the filter
holds the run (Ippolito et al. 2022). Runs of tokens stop verbatim output only: other letters or
spaces give other tokens (Ippolito et al. 2022, section 5). Runs of words, folded as they are for
counting, hold the same text in another style too. The facts say what each misses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.files import write_file
from pipeline.engine.stage import FileRecord, Work
from pipeline.engine.tables import read_table
from pipeline.engine.texts import texts_of_rows
from pipeline.filter.mitigations.bloom import Bloom, bloom, to_bytes
from pipeline.filter.mitigations.goldfish import load_tokenizer
from pipeline.score.proxy.tokenizer import encode
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.segmentation import words
from schemas.score.risk import RISK

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FOLDER, OF_TOKENS, OF_WORDS = "mitigation", "memfree.bloom", "memfree-words.bloom"
WORD_SEED = 0  # of the hashes of words: the same in every run
TRIED = 100_000  # runs that were not entered, to measure the rate of false positives
CHANGED = 200  # sequences that are looked up again after a change
CHANGES: dict[str, Callable[[str], str]] = {
    "upper case": lambda text: text.upper(),
    "two spaces for one": lambda text: text.replace(" ", "  "),
    "line breaks for spaces": lambda text: text.replace(" ", "\n"),
    "without punctuation": lambda text: "".join(c for c in text if c.isalnum() or c.isspace()),
    "every fourth word left out": lambda text: " ".join(
        word for place, word in enumerate(text.split()) if place % 4 != 3
    ),
}


@dataclass(frozen=True)
class Units:
    """A text as tokens or as words.

    Attributes:
        values: a number for each, (units,).
        starts: first byte of each, (units,).
        ends: byte past the last, (units,).
    """

    values: Uint64
    starts: Int64
    ends: Int64


Cut = Callable[[Sequence[str]], list[Units]]


@dataclass(frozen=True)
class Rule:
    """What a filter holds runs of.

    Attributes:
        file: its name.
        n: units of a run.
        cut: the function that cuts texts into units.
        most: numbers of units are below it.
    """

    file: str
    n: int
    cut: Cut
    most: int


def memfree(work: Work) -> tuple[list[FileRecord], dict[str, Any]]:
    """Write the filters that are asked for and return their records and what was measured."""
    config = work.config.mitigation
    risk = read_table(work.paths("risk"), RISK, ["row_key", "start_byte", "end_byte", "risk"])
    risky = risk.filter(pc.greater_equal(risk["risk"], config.memfree_risk))
    texts = dict(texts_of_rows(work.shards, work.config.input, risky["row_key"].to_numpy()))
    records, facts = [], {}
    for name, rule in _rules(work).items():
        made, facts[name] = _filter(risky, texts, rule, config.memfree_bits)
        record = write_file(work.folder, FOLDER, rule.file, to_bytes(made))
        records.append(replace(record, table=FOLDER))
    return records, facts


def _rules(work: Work) -> dict[str, Rule]:
    """Return the rules that are asked for, by the name of their facts."""
    config, found = work.config.mitigation, {}
    if config.memfree_n:
        tokenizer = load_tokenizer(work.config, work.paths("models"))
        most = tokenizer.get_vocab_size()
        found["memfree"] = Rule(OF_TOKENS, config.memfree_n, by_tokens(tokenizer), most)
    if config.memfree_words:
        found["memfree_words"] = Rule(OF_WORDS, config.memfree_words, by_words, 1 << 63)
    return found


def by_tokens(tokenizer: Tokenizer) -> Cut:
    """Return the function that cuts texts into tokens, without special ones."""

    def cut(texts: Sequence[str]) -> list[Units]:
        found = encode(tokenizer, list(texts))
        return [Units(one.tokens.astype(np.uint64), one.starts, one.ends) for one in found]

    return cut


def by_words(texts: Sequence[str]) -> list[Units]:
    """Return the folded words of each text, as they are counted: their hashes of seed WORD_SEED."""
    found = words(pa.array(texts, pa.large_string()), WORD_SEED)
    return [
        Units(found.hashes[a:b], *(p[a:b].astype(np.int64) for p in (found.starts, found.ends)))
        for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)
    ]


def _filter(
    risky: pa.Table, texts: dict[int, str], rule: Rule, bits: int
) -> tuple[Bloom, dict[str, Any]]:
    """Return a filter of the runs of what is at risk, and the facts measured about it.

    Args:
        risky: the sequences at risk.
        texts: of their documents, by row_key.
        rule: what runs are of.
        bits: of the filter for each run.
    """
    whole = dict(zip(texts, rule.cut(list(texts.values())), strict=True))
    columns = (risky[name].to_pylist() for name in ("row_key", "start_byte", "end_byte"))
    inside, passages = [], []
    for key, start, end in zip(*columns, strict=True):
        of = whole[key]
        inside.append(of.values[(of.starts >= start) & (of.ends <= end)])
        passages.append(texts[key].encode()[start:end].decode())
    runs = distinct(inside, rule.n)
    made = bloom(runs, rule.n, bits)
    drawn = np.random.default_rng(1).integers(0, rule.most, (TRIED, rule.n))
    facts = {
        "sequences": risky.num_rows,
        "runs": made.items,
        "n": made.n,
        "bits": 2**made.bits,
        "hashes": made.hashes,
        "false_positives_expected": round(made.expected_rate(), 8),
        "false_positives_of_random_runs": false_rate(made, runs, drawn.astype(np.uint64)),
        "false_positives_of_other_text": _of_text(made, runs, [o.values for o in whole.values()]),
        "missed_after": _missed(made, rule.cut, passages),
    }
    return made, facts


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


def _missed(made: Bloom, cut: Cut, passages: list[str]) -> dict[str, float]:
    """Return, by kind of change, the share of changed sequences of which no run is held."""
    chosen = passages[:CHANGED]
    found = {}
    for name, change in CHANGES.items():
        missed = [not made.holds(one.values).any() for one in cut([change(t) for t in chosen])]
        found[name] = round(sum(missed) / max(1, len(missed)), 4)
    return found
