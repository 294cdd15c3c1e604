"""Prompts from a file beside a sequence's own prefix: what more of the suffix they bring out.

A line names a document of the run and a prompt. What a model says greedily after the prompt is held
against the true suffix of the document's sequence: its score is the ROUGE-L with the truth, less
that of the prompt itself with the truth, so a prompt that holds the answer gains nothing by it (the
objective of Kassem et al. 2024). The gain is over the score of the prefix.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.errors import InputError
from pipeline.score.slices import PREFIX, SUFFIX
from pipeline.text.arrays import Flags, Float64, Int64

if TYPE_CHECKING:
    from pipeline.score.probes.panel import ProbedModel
    from pipeline.score.proxy.tokenizer import Language

OPTION = "--prompts"
DRAWS = 1_000


@dataclass(frozen=True)
class Prompt:
    """A line of the file.

    Attributes:
        line: its number, from 1 on.
        doc_id: id of the document whose sequence it is to bring out.
        text: what is given to the model.
        start_byte: of the sequence in the document; None for the first that was scored.
    """

    line: int
    doc_id: str
    text: str
    start_byte: int | None


@dataclass(frozen=True)
class Asked:
    """Prompts in the tokens of the models, with the sequence that each is for.

    Attributes:
        tokens: EOS and the prompt, (tokens,) each.
        row: place of each one's sequence in the panel, (prompts,).
    """

    tokens: Sequence[Int64]
    row: Int64


@dataclass(frozen=True)
class Elicited:
    """What one model says after prompts, and after the prefixes of their sequences.

    Attributes:
        by_prefix: whether the suffix is said after the prefix, (prompts,).
        by_prompt: whether it is after the prompt, (prompts,).
        score_prefix: score of the prefix, (prompts,).
        score_prompt: score of the prompt, (prompts,).
    """

    by_prefix: Flags
    by_prompt: Flags
    score_prefix: Float64
    score_prompt: Float64


def read_prompts(path: Path) -> list[Prompt]:
    """Read a file of prompts: JSON Lines with `id`, `prompt` and perhaps `start_byte`.

    Raises:
        InputError: When it cannot be read, a line is no such object, or there is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "The file of prompts cannot be read.",
            where=f"{OPTION} {path}",
            found=type(error).__name__,
            expected="JSON Lines in UTF-8",
        ) from error
    found = [_prompt(path, place, line) for place, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise InputError("The file of prompts is empty.", where=f"{OPTION} {path}")
    return found


def _prompt(path: Path, number: int, line: str) -> Prompt:
    """Return the prompt of a line.

    Raises:
        InputError: When it is none.
    """
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if isinstance(row, dict):
        name, text, start = row.get("id"), row.get("prompt"), row.get("start_byte")
        numbered = start is None or (isinstance(start, int) and not isinstance(start, bool))
        if isinstance(name, str) and isinstance(text, str) and text and numbered:
            return Prompt(number, name, text, start)
    raise InputError(
        "A line of the file of prompts is not one.",
        where=f"{OPTION} {path}, line {number}",
        expected='{"id": a document of the run, "prompt": a text}, and perhaps "start_byte"',
    )


def sequences_of(prompts: Sequence[Prompt], sequences: pa.Table, counts: pa.Table) -> Int64:
    """Return the row of `sequences` of each prompt, (prompts,); -1 where none was scored.

    Args:
        prompts: the lines.
        sequences: row_key and start_byte, in order.
        counts: doc_id, row_key and representative of every document.
    """
    wanted = {one.doc_id for one in prompts}
    names, stands = counts["doc_id"].to_pylist(), counts["representative"].to_pylist()
    key_of = {name: key for name, key in zip(names, stands, strict=True) if name in wanted}
    rows: dict[int, dict[int, int]] = {}
    pairs = zip(sequences["row_key"].to_pylist(), sequences["start_byte"].to_pylist(), strict=True)
    keys = set(key_of.values())
    for place, (key, start) in enumerate(pairs):
        if key in keys:
            rows.setdefault(key, {})[start] = place
    return np.array([_row(one, rows.get(key_of.get(one.doc_id, -1), {})) for one in prompts])


def _row(prompt: Prompt, starts: Mapping[int, int]) -> int:
    """Return the row of a prompt's sequence among those of its document by their first byte."""
    if not starts:
        return -1
    return starts.get(min(starts) if prompt.start_byte is None else prompt.start_byte, -1)


def tokens_of(prompts: Sequence[Prompt], language: Language, context: int) -> list[Int64]:
    """Return EOS and the tokens of each prompt.

    Args:
        prompts: the lines.
        language: the models' tokenizer.
        context: tokens that both models can read.

    Raises:
        InputError: When a prompt and 32 tokens more do not fit.
    """
    from pipeline.score.proxy.tokenizer import encode

    found = []
    for one, encoded in zip(
        prompts, encode(language.tokenizer, [one.text for one in prompts]), strict=True
    ):
        tokens = np.concatenate(([language.eos], encoded.tokens)).astype(np.int64)
        if len(tokens) + SUFFIX > context:
            raise InputError(
                "A prompt is too long for the models.",
                where=f"{OPTION}, line {one.line}",
                found=f"{len(tokens)} tokens",
                expected=f"{context - SUFFIX} at most: 32 more are generated",
            )
        found.append(tokens)
    return found


def elicited(subject: ProbedModel, asked: Asked, rows: Int64, exact: Flags) -> Elicited:
    """Return what a model says after prompts and after prefixes.

    Args:
        subject: the model.
        asked: the prompts.
        rows: EOS and 64 tokens of each sequence of the panel, (sequences, 65).
        exact: which it recites from the prefix, (sequences,).
    """
    from pipeline.score.probes.generation import generate

    prefix = rows[:, : 1 + PREFIX]
    distinct, back = np.unique(asked.row, return_inverse=True)
    said = generate(subject, prefix[distinct], SUFFIX)[back]
    true = rows[asked.row, 1 + PREFIX :]
    after = np.zeros_like(said)
    for places in _of_one_length(asked.tokens):
        prompts = np.stack([asked.tokens[place] for place in places])
        after[places] = generate(subject, prompts, SUFFIX)
    return Elicited(
        exact[asked.row],
        np.asarray((after == true).all(1)),
        _scores(said, list(prefix[asked.row, 1:]), true),
        _scores(after, [tokens[1:] for tokens in asked.tokens], true),
    )


def _of_one_length(tokens: Sequence[Int64]) -> Iterator[list[int]]:
    """Yield the places of prompts of as many tokens."""
    sizes = np.array([len(one) for one in tokens])
    for size in np.unique(sizes):
        yield np.flatnonzero(sizes == size).tolist()


def _scores(said: Int64, prompts: Sequence[Int64], true: Int64) -> Float64:
    """Return the ROUGE-L of what was said with the truth less that of the prompt, (prompts,)."""
    from pipeline.score.signals.approximate import rouge_l

    return np.array(
        [
            rouge_l(output.tolist(), truth.tolist()) - rouge_l(prompt.tolist(), truth.tolist())
            for output, prompt, truth in zip(said, prompts, true, strict=True)
        ]
    )


def gain(of: Elicited, family: np.ndarray) -> tuple[float, float, float]:
    """Return the mean gain of prompts over prefixes, and its 95% interval by family.

    Args:
        of: what a model said.
        family: of each prompt's sequence, (prompts,).
    """
    from pipeline.score.forecast.bootstrap import row_weights

    more = of.score_prompt - of.score_prefix
    weight = np.concatenate(list(row_weights(family, DRAWS, 1)))
    low, high = np.quantile(weight @ more / weight.sum(1), (0.025, 0.975))
    return float(more.mean()), float(low), float(high)
