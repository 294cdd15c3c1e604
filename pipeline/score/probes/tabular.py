"""Row, header and first-token tests of documents that are tables (Bordt et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from pipeline.engine.stage import Work
from pipeline.score.probes.generation import generate, next_logits
from pipeline.score.probes.panel import Probed, ProbedModel, ProbeInput, read_tokens
from pipeline.score.signals.tabular import (
    HEADER_ROWS,
    entropy_bits,
    judged,
    modal_share,
    table_rows,
)
from pipeline.score.slices import PREFIX, SUFFIX
from pipeline.text.arrays import Int64
from pipeline.text.hashing import keyed_hash

DOCUMENTS = 1_000
TABLES = 50
QUERIES = 25
_ORDER = 23


@dataclass(frozen=True)
class Table:
    """A document that is a table, in tokens.

    Attributes:
        row_key: of the document.
        place: row of `sequences` of its first scored sequence.
        prompts: EOS and the tokens before each queried row, at most 32, (queries, tokens).
        answers: first 32 tokens of each queried row.
        texts: text of each queried row.
        headers: for each cut of the header test the tokens before it and the 32 that follow.
    """

    row_key: int
    place: int
    prompts: Int64  # (queries, tokens)
    answers: list[list[int]]
    texts: list[str]
    headers: list[tuple[list[int], list[int]]]


def tables(work: Work, of: ProbeInput) -> list[Table]:
    """Read up to 1,000 scored documents and return those that are tables, 50 at most."""
    keys, place = np.unique(of.table["row_key"].to_numpy(), return_index=True)
    numbers = np.searchsorted(of.known.row_key, keys)
    order = np.argsort(
        keyed_hash(of.known.text_key[numbers], work.config.proxy.seed + _ORDER), kind="stable"
    )[:DOCUMENTS]
    texts = read_tokens(work, of, np.sort(numbers[order]))
    found = []
    for row in order.tolist():
        text = texts[int(numbers[row])].text
        places = table_rows(text)
        if places is not None:
            cut = _cut(of.tokenizer, text, places, of.top.eos)
            found.append(Table(int(keys[row]), int(place[row]), *cut))
    return found[:TABLES]


def probe(subject: ProbedModel, table: Table) -> dict[str, float]:
    """Return the rates of one table, each with its baseline, and whether they may be judged."""
    generated = generate(subject, table.prompts, SUFFIX).tolist()
    pairs = zip(generated, table.answers, strict=True)
    right = [output[: len(true)] == true for output, true in pairs]
    first = [true[0] for true in table.answers]
    guessed = next_logits(subject, table.prompts).argmax(-1).tolist()
    return {
        "row": float(np.mean(right)),
        "row_modal": modal_share(table.texts),
        "first_token": float(np.mean(np.array(guessed) == np.array(first))),
        "first_token_modal": modal_share(first),
        "header": _header(subject, table),
        "row_entropy_bits": entropy_bits(table.texts),
        "judged": float(judged(table.texts, first)),
    }


def panel_of(found: list[Table], of: ProbeInput) -> Probed:
    """Return the tables as a panel, so that aggregates are made in the same way."""
    place = np.array([table.place for table in found], np.int64)
    keys = np.array([table.row_key for table in found], np.uint64)
    family = of.known.family[np.searchsorted(of.known.row_key, keys)]
    nothing = np.zeros((len(found), 0), np.int64)
    return Probed(place, keys, np.zeros(len(found), np.int64), family, nothing)


def _header(subject: ProbedModel, table: Table) -> float:
    """Return the best share, of the cuts, of the tokens that follow said without a miss."""
    best = 0.0
    for prompt, true in table.headers:
        output = generate(subject, np.array([prompt]), len(true))[0].tolist()
        misses = [place for place, token in enumerate(true) if output[place] != token]
        best = max(best, (misses[0] if misses else len(true)) / len(true))
    return best


def _cut(
    tokenizer: Tokenizer, text: str, rows: list[tuple[int, int]], eos: int
) -> tuple[Int64, list[list[int]], list[str], list[tuple[list[int], list[int]]]]:
    """Return prompts, answers and texts of the queried rows, and the cuts of the header test.

    Queried rows are evenly spread from the third on. A header is cut in the middle of a row.
    """
    chosen = np.unique(np.linspace(2, len(rows) - 1, QUERIES).astype(np.int64)).tolist()
    texts = [text[slice(*rows[place])] for place in chosen]
    answers = [tokenizer.encode(row, add_special_tokens=False).ids[:SUFFIX] for row in texts]
    before = [_before(tokenizer, text[: rows[place][0]], eos) for place in chosen]
    length = min(len(tokens) for tokens in before)
    prompts = np.array([[eos, *tokens[len(tokens) - length + 1 :]] for tokens in before], np.int64)
    headers = []
    for count in HEADER_ROWS:
        if count < len(rows):
            middle = sum(rows[count]) // 2
            after = tokenizer.encode(text[middle : middle + 500], add_special_tokens=False).ids
            headers.append((_before(tokenizer, text[:middle], eos), after[:SUFFIX]))
    return prompts, answers, texts, headers


def _before(tokenizer: Tokenizer, text: str, eos: int) -> list[int]:
    """Return EOS and the last tokens of a text, at most 32."""
    return [eos, *tokenizer.encode(text[-1000:], add_special_tokens=False).ids[-PREFIX:]]
