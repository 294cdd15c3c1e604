"""Counterfactual memorization from proxies trained on halves of the families, many times.

The estimator of Feldman and Zhang 2020 (Zhang et al. 2021, eq. 1), as `signals.counterfactual` has
it. Training rows are the scored sequences that the largest proxy saw, each as often as it did in an
epoch; whole families are put in or left out. Text that two families share is not left out whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config.sections import ProxyConfig
from pipeline.engine.stage import Work
from pipeline.score.probes.generation import suffix_log_p
from pipeline.score.probes.panel import Probed, ProbedModel, ProbeInput, read_tokens
from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.train import Schedule, train
from pipeline.score.sequences.training_rows import token_rows
from pipeline.score.signals.counterfactual import counterfactual
from pipeline.score.slices import ROW_TOKENS, SUFFIX
from pipeline.text.arrays import Int64
from pipeline.text.hashing import keyed_hash

_SUBSET = 31


@dataclass(frozen=True)
class SubsetRows:
    """The rows that subset models are trained on.

    Attributes:
        rows: EOS and a sequence each, (rows, 65).
        family: number of each row's family, (rows,).
        key: hash of each family's name, by number, (families,).
    """

    rows: Int64  # (rows, 65)
    family: Int64
    key: NDArray[np.uint64]


def subset_rows(work: Work, of: ProbeInput) -> SubsetRows:
    """Read the scored sequences that the largest proxy saw, each as often as in an epoch."""
    top = of.top
    place = np.flatnonzero(top.seen)
    documents = np.searchsorted(of.known.row_key, of.table["row_key"].to_numpy()[place])
    starts = of.table["start_token"].to_numpy()[place]
    texts = read_tokens(work, of, np.unique(documents))
    rows = [
        token_rows(texts[number], np.array([start]))
        for number, start in zip(documents.tolist(), starts.tolist(), strict=True)
    ]
    times = np.maximum(1, top.seen[place] // work.config.proxy.epochs)
    tokens = np.concatenate([np.zeros((0, ROW_TOKENS), np.int64), *rows])
    tokens[:, 0] = top.eos
    key = of.known.text_key[documents] ^ keyed_hash(starts.astype(np.uint64), 1)
    order = np.argsort(key, kind="stable")  # no name of a shard orders what is learnt
    again = np.repeat(order, times[order])
    return SubsetRows(tokens[again], of.known.family[documents][again], of.known.family_key)


def in_subset(of: SubsetRows, number: int, seed: int) -> NDArray[np.bool_]:
    """Return whether model `number` is trained on each family, one in two, (families,)."""
    return np.asarray(keyed_hash(of.key, seed * 1_000 + _SUBSET + number) % np.uint64(2) == 0)


def score_one(
    of: SubsetRows,
    panel: Probed,
    like: ProbedModel,
    config: ProxyConfig,
    turn: tuple[int, Callable[[int, int], None]],
) -> NDArray[np.float64]:
    """Train a model and return its log p_z of each sequence of the panel, in bits, (sequences,).

    Args:
        of: the rows of all families.
        panel: the sequences to score.
        like: a proxy of the run, for its vocabulary and device.
        config: the shapes and the schedule.
        turn: the model's number, and the function that is called with its progress.
    """
    number, on_progress = turn
    layers, width = config.shapes[0]
    shape = Shape(like.model.vocabulary, layers, width)
    rows = of.rows[in_subset(of, number, config.seed)[of.family]]
    schedule = Schedule(config.epochs, config.batch, config.rate, config.seed + number)
    if len(rows):
        model = train(shape, rows, schedule, like.device, on_progress).model
    else:  # few families: this one learnt none of them
        model = Transformer(shape, schedule.seed).to(like.device).eval()
    own = ProbedModel(f"subset-{number}", "subset", model, like.device, like.eos, like.seen)
    log_p = suffix_log_p(own, panel.tokens, SUFFIX).double().sum(1).numpy()
    return np.asarray(log_p / math.log(2.0))


def estimate(
    of: SubsetRows, panel: Probed, scores: list[NDArray[np.float64]], seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return the counterfactual memorization of each sequence that a subset model learnt.

    In bits, with its standard error; NaN for a sequence that none could learn.

    Args:
        of: the rows of all families.
        panel: the sequences.
        scores: of each model, in its order, (sequences,) each.
        seed: that decided which families each model saw.
    """
    learnt = np.isin(panel.family, of.family)
    inside = np.stack(
        [in_subset(of, number, seed)[panel.family] & learnt for number in range(len(scores))]
    )
    value, error = counterfactual(np.stack(scores), inside)
    return {"counterfactual_bits": value, "standard_error_bits": error}
