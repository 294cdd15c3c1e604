"""The arms: the same target trained once more on other rows, or another loss, at equal tokens.

filter: documents by forecast risk, those first where a removed row buys most: risk x sequences /
rows, of documents with a risk of one half or more. count: documents by decreasing exact count.
random: documents by hash. Each removes whole documents with all their copies, the same share of
rows, and is refilled from families that were kept back. goldfish: every row, but one token in k of
documents with a risk of one half or more is not learnt. sinks: neurons by family, dropped at the
end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from pipeline.backtest.arms.goldfish import goldfish_settings, rows_in_the_loss
from pipeline.backtest.arms.results import Arm, compared
from pipeline.backtest.corpus.subject import Subject
from pipeline.backtest.judgement.evidence import SEEN, Evidence
from pipeline.backtest.ledger import Output, say
from pipeline.backtest.training.trainings import MARKS, Trainer, Training
from pipeline.config.sections import Config
from pipeline.errors import ConfigError
from pipeline.score.sequences.sampling import take_that_fit
from pipeline.score.sequences.training_rows import token_rows, tokenized
from pipeline.text.arrays import Flags, Float64, Int64
from pipeline.text.hashing import keyed_hash
from schemas.backtest import RESERVE, SCORES

ARMS = ("filter", "random", "count", "goldfish", "sinks")
LIKELY = 0.5
_RANDOM = 31


@dataclass(frozen=True)
class ArmInput:
    """What arms are made of. reserve: rows to refill from."""

    subject: Subject
    config: Config
    target: Training
    reserve: Int64


def require_arms(names: Sequence[str]) -> None:
    """Refuse arms that do not exist."""
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise ConfigError(
            "There is no such arm of the back-test.",
            where=f"--arms {','.join(names)}",
            found=", ".join(unknown),
            expected=", ".join(ARMS),
            fix="name some of these, separated by commas",
        )


def reserve_rows(corpus: Output, tokenizer: Tokenizer) -> Int64:
    """Return the rows of the documents that were kept back."""
    texts = tokenized(tokenizer, dict(enumerate(corpus.table(RESERVE)["text"].to_pylist())))
    rows = [token_rows(text, text.starts) for text in texts.values() if len(text.starts)]
    return np.concatenate([np.zeros((0, 65), np.int64), *rows])


def plan(of: ArmInput, names: Sequence[str], found: Evidence) -> list[tuple[Arm, Training]]:
    """Return each arm with its training."""
    risk = document_risk(of.subject, found)
    return [_planned(of, name, risk) for name in ARMS if name in names]


def arm_rows(
    trainer: Trainer,
    planned: list[tuple[Arm, Training]],
    of: ArmInput,
    target: Output,
    found: Evidence,
) -> list[dict[str, Any]]:
    """Train and score the arms, and the target at all its marks; return the rows of comparison."""
    if not planned:
        return []
    trainings = [training for _, training in planned]
    for one in trainer.due(trainings):
        say(f"one more training: {one.name}, {one.cost * of.config.proxy.epochs:.1e} FLOPs")
    outputs = trainer.train(trainings)
    marks = [f"mark-{place}" for place in range(len(MARKS))]
    pairs = [(of.target, target), *zip(trainings, outputs, strict=True)]
    wanted = [(one, output, mark) for one, output in pairs for mark in marks]
    scored = trainer.score(wanted, of.subject.panel_rows, of.subject.outside)
    tables = [output.table(SCORES) for output in scored]
    runs = [tables[start : start + len(marks)] for start in range(0, len(tables), len(marks))]
    rows: list[dict[str, Any]] = []
    for (arm, _), own in zip(planned, runs[1:], strict=True):
        rows += compared(arm, runs[0], own, found, of.config)
    return rows


def document_risk(subject: Subject, found: Evidence) -> Float64:
    """Return per document the largest forecast of its sequences; NaN for those never trained on.

    A text of a family that was not asked itself has its family's mean.
    """
    known, panel = subject.material.known, subject.material.panel
    risk = np.nan_to_num(found.risk[SEEN][:, 0], nan=0.0)
    largest = np.full(len(known.family), -1.0)
    np.maximum.at(largest, panel.document, risk)
    family = known.family[panel.document]
    size = np.bincount(family, minlength=len(known.family_key))
    mean = np.bincount(family, risk, len(known.family_key)) / np.maximum(size, 1)
    filled = np.where(largest >= 0, largest, mean[known.family])
    trained = np.zeros(len(filled), np.bool_)
    trained[subject.material.learnt.documents] = True
    return np.where(trained, filled, np.nan)


def removed_documents(of: ArmInput, order: Int64, rows: Int64) -> Flags:
    """Return the documents that a filter takes, in that order, until its share of rows is gone."""
    budget = int(of.config.backtest.filter_share * len(of.target.rows))
    taken = take_that_fit(order, rows, budget)
    flags = np.zeros(len(rows), np.bool_)
    flags[taken] = True
    return flags


def _planned(of: ArmInput, name: str, risk: Float64) -> tuple[Arm, Training]:
    owner, known = of.subject.owner, of.subject.material.known
    rows = np.bincount(owner, minlength=len(known.family))
    plain = replace(of.target, name=f"arm-{name}", recipe=name)
    nothing = np.zeros(len(rows), np.bool_)
    if name == "sinks":
        return Arm(name, nothing, 0), replace(plain, sinks=known.family[owner])
    if name == "goldfish":
        keep = rows_in_the_loss(
            of.subject.material.texts,
            owner,
            of.subject.start_token,
            np.nan_to_num(risk) >= LIKELY,
            *goldfish_settings(of.config),
        )
        return Arm(name, nothing, 0), replace(plain, keep=keep)
    order = _order(of, name, risk)
    gone = removed_documents(of, order, rows)
    left = of.target.rows[~gone[owner]]
    refill = of.reserve[: len(of.target.rows) - len(left)]
    return Arm(name, gone, len(of.target.rows) - len(left)), replace(
        plain, rows=np.concatenate((left, refill))
    )


def _order(of: ArmInput, name: str, risk: Float64) -> Int64:
    """Return documents in the order in which an arm removes them."""
    known, documents = of.subject.material.known, of.subject.material.learnt.documents
    tie = keyed_hash(known.text_key[documents], of.config.proxy.seed + _RANDOM)
    if name == "random":
        return documents[np.argsort(tie, kind="stable")]
    if name == "count":
        return documents[np.lexsort((tie, -known.exact_count[documents]))]
    own = risk[documents]
    # sequences of a document / its rows = 1 / its copies
    gain = own / np.maximum(known.exact_count[documents], 1)
    chosen = documents[own >= LIKELY]
    return chosen[np.lexsort((tie[own >= LIKELY], -gain[own >= LIKELY]))]
