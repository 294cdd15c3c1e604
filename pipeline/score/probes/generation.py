"""Generation with a proxy, for measures that one teacher-forced pass cannot give."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.score.probes.panel import ProbedModel
from pipeline.score.signals.decoding import Decoding, log_q
from pipeline.text.arrays import Int64

BATCH = 128


def generate(
    subject: ProbedModel,
    prompts: Int64,
    steps: int,
    decoding: Decoding | None = None,
    seed: int = 0,
) -> Int64:
    """Return `steps` tokens after each prompt, (rows, steps): greedy, or drawn by `decoding`.

    Rows with the same history share a forward pass. Tokens are drawn by the inverse of the
    distribution in double precision, from numbers that depend on the seed and the place alone.

    Args:
        subject: the proxy.
        prompts: EOS and what is given, (rows, tokens).
        steps: tokens to generate.
        decoding: the way to draw; None for greedy.
        seed: of the random numbers.
    """
    tokens = np.asarray(prompts)
    source = np.random.Generator(np.random.PCG64(seed))
    for _ in range(steps):
        histories, place = np.unique(tokens, axis=0, return_inverse=True)
        scores = next_logits(subject, histories)
        if decoding is None:
            following = scores.argmax(-1).cpu().numpy()[place.ravel()]
        else:
            chance = log_q(scores, decoding).double().exp().cumsum(-1).cpu().numpy()
            following = _drawn(chance, place.ravel(), source.random(len(tokens)))
        tokens = np.concatenate((tokens, following[:, None]), axis=1)
    return np.asarray(tokens[:, prompts.shape[1] :])


def next_logits(subject: ProbedModel, rows: Int64) -> Tensor:
    """Return the logits of the token after each row, (rows, vocabulary)."""
    parts = [logits[:, -1] for logits, _ in _chunks(subject, rows, 1)]
    return torch.cat(parts) if parts else torch.zeros(0, subject.model.vocabulary)


def suffix_log_p(
    subject: ProbedModel, rows: Int64, suffix: int, decoding: Decoding | None = None
) -> Tensor:
    """Return log q in nats of the last tokens of each row, given the true history, (rows, suffix).

    Args:
        subject: the proxy.
        rows: EOS and tokens, (rows, tokens).
        suffix: tokens of the suffix.
        decoding: the distribution q; None for the model's own.
    """
    parts = []
    for logits, own in _chunks(subject, rows[:, :-1], suffix):
        true = torch.from_numpy(rows[own, -suffix:]).to(subject.device)
        log_p = log_q(logits, decoding or Decoding())
        parts.append(log_p.gather(-1, true.unsqueeze(-1)).squeeze(-1).cpu())
    return torch.cat([torch.zeros(0, suffix), *parts])


def suffix_hits(subject: ProbedModel, rows: Int64, suffix: int) -> Tensor:
    """Return whether each of a row's last tokens is the arg-max, given the true history.

    Args:
        subject: the proxy.
        rows: EOS and tokens, (rows, tokens).
        suffix: tokens of the suffix: the result is (rows, suffix).
    """
    parts = [
        logits.argmax(-1).cpu() == torch.from_numpy(rows[own, -suffix:])
        for logits, own in _chunks(subject, rows[:, :-1], suffix)
    ]
    return torch.cat([torch.zeros(0, suffix, dtype=torch.bool), *parts])


def _chunks(subject: ProbedModel, rows: Int64, last: int) -> Iterator[tuple[Tensor, slice]]:
    """Yield the last logits of some rows at a time, (rows, last, vocabulary), and which rows."""
    for start in range(0, len(rows), BATCH):
        own = slice(start, start + BATCH)
        with torch.inference_mode():
            hidden = subject.model.hidden(torch.from_numpy(rows[own]).to(subject.device))
            yield subject.model.head(hidden[:, -last:]).float(), own


def _drawn(cumulative: NDArray[np.float64], place: Int64, random: NDArray[np.float64]) -> Int64:
    """Return the first token of each row whose cumulative probability is above a random share.

    Args:
        cumulative: of each history, (histories, vocabulary).
        place: history of each row, (rows,).
        random: numbers in [0, 1), (rows,).
    """
    found = np.empty(len(place), np.int64)
    for row, share in enumerate(random.tolist()):
        own = cumulative[place[row]]
        found[row] = np.searchsorted(own, share * own[-1], side="right")
    return np.asarray(np.minimum(found, cumulative.shape[1] - 1))
