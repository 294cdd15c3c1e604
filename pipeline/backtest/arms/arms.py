"""Train the arms: the same target once more, on other rows or with another loss, at equal tokens.

Three arms remove the same share of the rows, whole documents with all their copies, and are
refilled from families that were kept back: `filter` by forecast risk, among documents of risk one
half or more, those first where a removed row gains most (risk x sequences / rows); `count` by
decreasing exact count; `random` by hash. Two arms keep every row: `goldfish` leaves one token in k
of the documents of risk one half or more out of the loss; `sinks` gives each text neurons that
are dropped at the end.
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
from pipeline.score.slices import ROW_TOKENS
from pipeline.text.arrays import Flags, Float64, Int64
from pipeline.text.hashing import keyed_hash
from schemas.backtest import RESERVE, SCORES

ARMS = ("filter", "random", "count", "goldfish", "sinks")
LIKELY = 0.5  # risk from which the arms act on a document
_RANDOM = 31


@dataclass(frozen=True)
class ArmInput:
    """What arms are made of.

    Attributes:
        subject: what models learn from and are scored on.
        config: the settings, with the proxies of the size.
        plain: the training of the target without an arm.
        reserve: rows to refill from.
    """

    subject: Subject
    config: Config
    plain: Training
    reserve: Int64  # (rows, 65)


def require_arms(names: Sequence[str]) -> None:
    """Refuse arms that do not exist.

    Raises:
        ConfigError: When a name is no arm's.
    """
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
    """Return the rows of the documents that were kept back, (rows, 65)."""
    texts = tokenized(tokenizer, dict(enumerate(corpus.table(RESERVE)["text"].to_pylist())))
    rows = [token_rows(text, text.starts) for text in texts.values() if len(text.starts)]
    return np.concatenate([np.zeros((0, ROW_TOKENS), np.int64), *rows])


def plan(arm_input: ArmInput, names: Sequence[str], found: Evidence) -> list[tuple[Arm, Training]]:
    """Return the chosen arms, each with its training.

    Args:
        arm_input: what arms are made of.
        names: the arms to train.
        found: the forecast of each sequence of the panel.
    """
    risk = document_risk(arm_input.subject, found)
    return [_planned(arm_input, name, risk) for name in ARMS if name in names]


def arm_rows(
    trainer: Trainer,
    planned: list[tuple[Arm, Training]],
    arm_input: ArmInput,
    target: Output,
    found: Evidence,
) -> list[dict[str, Any]]:
    """Train and score the arms, and return the rows of the table `backtest_arms`.

    Args:
        trainer: trains and scores what is not there yet.
        planned: the arms with their trainings.
        arm_input: what arms are made of.
        target: the trained target without an arm; it is scored at all its marks.
        found: what is known of each sequence of the panel.
    """
    if not planned:
        return []
    trainings = [training for _, training in planned]
    for one in trainer.due(trainings):
        say(f"one more training: {one.name}, {one.cost * arm_input.config.proxy.epochs:.1e} FLOPs")
    outputs = trainer.train(trainings)
    marks = [f"mark-{place}" for place in range(len(MARKS))]
    pairs = [(arm_input.plain, target), *zip(trainings, outputs, strict=True)]
    wanted = [(one, output, mark) for one, output in pairs for mark in marks]
    scored = trainer.score(wanted, arm_input.subject.panel_rows, arm_input.subject.outside)
    tables = [output.table(SCORES) for output in scored]
    runs = [tables[start : start + len(marks)] for start in range(0, len(tables), len(marks))]
    rows: list[dict[str, Any]] = []
    for (arm, _), of_arm in zip(planned, runs[1:], strict=True):
        rows += compared(arm, runs[0], of_arm, found, arm_input.config)
    return rows


def document_risk(subject: Subject, found: Evidence) -> Float64:
    """Return the largest forecast among each document's sequences, (documents,).

    A document without a sequence in the panel has the mean of its family; NaN stands for a document
    that is not trained on.
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


def removed_documents(arm_input: ArmInput, order: Int64, rows: Int64) -> Flags:
    """Return which documents an arm removes, (documents,), until its share of rows is removed.

    Args:
        arm_input: what arms are made of.
        order: documents in the order of removal.
        rows: training rows of each document, (documents,).
    """
    budget = int(arm_input.config.backtest.filter_share * len(arm_input.plain.rows))
    taken = take_that_fit(order, rows, budget)
    flags = np.zeros(len(rows), np.bool_)
    flags[taken] = True
    return flags


def _planned(arm_input: ArmInput, name: str, risk: Float64) -> tuple[Arm, Training]:
    """Return an arm and its training, by the risk of each document, (documents,)."""
    owner, known = arm_input.subject.owner, arm_input.subject.material.known
    rows = np.bincount(owner, minlength=len(known.family))
    plain = replace(arm_input.plain, name=f"arm-{name}", recipe=name)
    nothing = np.zeros(len(rows), np.bool_)
    if name == "sinks":
        return Arm(name, nothing, 0), replace(plain, sinks=owner)
    if name == "goldfish":
        keep = rows_in_the_loss(
            arm_input.subject.material.texts,
            owner,
            arm_input.subject.start_token,
            np.nan_to_num(risk) >= LIKELY,
            *goldfish_settings(arm_input.config),
        )
        return Arm(name, nothing, 0), replace(plain, keep=keep)
    order = _order(arm_input, name, risk)
    gone = removed_documents(arm_input, order, rows)
    left = arm_input.plain.rows[~gone[owner]]
    refill = arm_input.reserve[: len(arm_input.plain.rows) - len(left)]
    return Arm(name, gone, len(arm_input.plain.rows) - len(left)), replace(
        plain, rows=np.concatenate((left, refill))
    )


def _order(arm_input: ArmInput, name: str, risk: Float64) -> Int64:
    """Return documents in the order in which an arm removes them."""
    known, documents = arm_input.subject.material.known, arm_input.subject.material.learnt.documents
    tie = keyed_hash(known.text_key[documents], arm_input.config.proxy.seed + _RANDOM)
    if name == "random":
        return documents[np.argsort(tie, kind="stable")]
    if name == "count":
        return documents[np.lexsort((tie, -known.exact_count[documents]))]
    likely = risk[documents] >= LIKELY
    # sequences of a document / its rows = 1 / its copies
    gain = risk[documents] / np.maximum(known.exact_count[documents], 1)
    return documents[likely][np.lexsort((tie[likely], -gain[likely]))]
