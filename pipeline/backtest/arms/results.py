"""Compare each arm with the plain target, at as many tokens, beside the loss on text held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.backtest.arms.arms import Arm, Planned
from pipeline.backtest.judgement import metrics
from pipeline.backtest.judgement.measures import Bootstrap
from pipeline.backtest.judgement.strata import Stratum
from pipeline.backtest.subject import Subject
from pipeline.score.forecast.bootstrap import NUMBERS_AT_ONCE
from pipeline.text.arrays import Flags

NOTABLE = 0.1  # nats a token that an arm's held-out loss may be above the plain target's
SPOILT, BETTER, NOT_BETTER = "spoilt the model", "less memorized", "not shown to be less memorized"


def arm_rows(
    planned: Planned,
    subject: Subject,
    judged: Flags,
    scores: Sequence[pa.Table],
    draw: Bootstrap,
) -> list[dict[str, Any]]:
    """Return the rows of `backtest_arms`: arm by group of sequences.

    Args:
        planned: the arms.
        subject: the run.
        judged: sequences that count, (sequences,).
        scores: of the plain target, then of each arm; the panel's rows, then those held out.
        draw: of the bootstrap.
    """
    size = len(judged)
    labels = [table["memorized"].to_numpy()[:size] for table in scores]
    losses = [float(table["mean_nll"].to_numpy()[size:].mean()) for table in scores]
    rows = []
    for place, arm in enumerate(planned.arms, 1):
        about = {
            "arm": arm.name,
            "rows_removed": int(arm.gone.sum()),
            "share_removed": float(arm.gone.mean()),
            "held_out_sequences": len(planned.reserve.held),
            "held_out_families": planned.reserve.held_families,
            "held_out_loss_target": losses[0],
            "held_out_loss_arm": losses[place],
        }
        for name, group in _groups(planned, subject, arm, judged).items():
            if group.any():
                found = _drop(labels[0], labels[place], group, draw)
                verdict = verdict_of(losses[0], losses[place], subject.vocabulary, found)
                rows.append({**about, "rows": name, **found, "verdict": verdict})
    return rows


def verdict_of(plain: float, of_arm: float, vocabulary: int, found: dict[str, Any]) -> str:
    """Return what can be said of an arm: nothing good of one whose loss is not that of a model.

    Args:
        plain: held-out loss of the plain target, nats a token.
        of_arm: the same of the arm.
        vocabulary: tokens; a uniform guess has its logarithm as loss.
        found: the drop of what is memorized, with its interval.
    """
    if spoilt(plain, of_arm, vocabulary):
        return SPOILT
    low = found["drop_low"]
    return BETTER if low is not None and low > 0 else NOT_BETTER


def spoilt(plain: float, of_arm: float, vocabulary: int) -> bool:
    """Return whether an arm's held-out loss is that of no model, or notably above the target's."""
    return bool(of_arm >= np.log(vocabulary) or of_arm > plain + NOTABLE)


def _groups(planned: Planned, subject: Subject, arm: Arm, judged: Flags) -> dict[str, Flags]:
    """Return the groups of sequences: of the corpus, those that stay and go, plants."""
    natural = subject.panel.natural & judged
    copies = np.zeros((2, len(subject.material.known.family)), np.int64)
    for side in (0, 1):
        own = planned.rows.document[arm.gone == bool(side)]
        copies[side] = np.bincount(own, minlength=copies.shape[1])
    known = subject.material.known
    first = np.searchsorted(known.row_key, known.representative)
    document = first[subject.scored.panel.document]
    stays = np.zeros(len(judged), np.bool_)
    stays[: len(document)] = copies[0][document] > 0
    return {
        "natural": natural,
        "natural, some copy stays": natural & stays,
        "natural, all gone": natural & ~stays,
        "plants": subject.panel.planted & judged,
    }


def _drop(plain: Flags, of_arm: Flags, rows: Flags, draw: Bootstrap) -> dict[str, Any]:
    """Return the shares memorized by target and arm, and the drop from one to the other."""
    sample = draw.sample(Stratum("", rows, np.ones(len(rows))), plain)
    other = of_arm[rows]
    shares = [
        (weight[:, sample.truth].sum(1), weight[:, other].sum(1), weight.sum(1))
        for weight in sample.blocks(draw.times(int(rows.sum())), draw.seed, NUMBERS_AT_ONCE)
    ]
    by_plain, by_arm, total = (np.concatenate(values) for values in zip(*shares, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        drop, low, high = metrics.interval(1.0 - by_arm / by_plain)
    return {
        "sequences": int(rows.sum()),
        "share_target": float(by_plain[0] / total[0]),
        "share_arm": float(by_arm[0] / total[0]),
        "drop": _finite(drop),
        "drop_low": _finite(low),
        "drop_high": _finite(high),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
