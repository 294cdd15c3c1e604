"""Scoring: one forward pass over sequences, reduced on the device to a dozen numbers each.

A scored row is EOS and 64 tokens, 32 of prefix and 32 of suffix: exactly the rows that proxies are
trained on. No logits of more than a chunk of tokens exist at a time, and none leave the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.score.proxy.checkpoint import Checkpoint
from pipeline.score.proxy.precision import Precision, halving, in_precision
from pipeline.score.signals.extraction import log_p_z, memorized, run_length
from pipeline.score.signals.min_k import min_k, standardised
from pipeline.score.slices import SEQUENCE, SUFFIX

BATCHES = {"cpu": 64, "cuda": 1024}  # rows
CHUNK_ELEMENTS = 1 << 18  # logits at a time: what stays in a core's cache
CHUNK_ELEMENTS_CUDA = 1 << 27
# Measured with models of random weights: at 0.05 the labels of 5 of 96 rows were not float32's, as
# leads were off by up to 0.18.
DOUBTFUL = 0.25  # nats
CLOSEST = "closest"  # how near a suffix token that decides comes to the best other one; not kept

Statistics = dict[str, NDArray[np.generic]]


class Scorable(Protocol):
    """A model in two parts, so that the head can be taken a chunk at a time.

    Attributes:
        vocabulary: number of tokens that it has logits of.
        size: number of non-embedding parameters.
    """

    @property
    def vocabulary(self) -> int: ...  # noqa: D102 - the class says it

    @property
    def size(self) -> int: ...  # noqa: D102

    def hidden(self, tokens: Tensor) -> Tensor:
        """Return the last hidden states (rows, tokens, width) of `tokens` (rows, tokens)."""

    def head(self, hidden: Tensor) -> Tensor:
        """Return the logits (..., vocabulary) of hidden states (..., width)."""


@dataclass
class ProxyScorer:
    """A scorer that runs one proxy over rows, a batch at a time.

    With bf16, rows whose labels rest on a lead or lag of less than DOUBTFUL nats are scored again
    in fp32.

    Attributes:
        model: the proxy.
        device: `cpu` or `cuda`.
        batch: rows at a time; 0 for the device's own number.
        advance: is called with (done, total) rows; None for nothing.
        precision: of the matrix products.
        checkpoint: what a killed scoring goes on from; None for none.
        rows_at_once: rows at a time in the end, fewer than a batch where memory was short.
        relabelled: rows that were scored again in fp32.
    """

    model: Scorable
    device: str = "cpu"
    batch: int = 0
    advance: Callable[[int, int], None] | None = None
    precision: Precision = "fp32"
    checkpoint: Checkpoint | None = None
    rows_at_once: int = field(default=0, init=False)
    relabelled: int = field(default=0, init=False)

    def score(self, tokens: NDArray[np.int64]) -> Statistics:
        """Return the statistics of `schemas.score.sequences` but for `seen`, (rows,) each.

        Args:
            tokens: EOS and a sequence each, (rows, 65); shorter rows hold less of the prefix.
        """
        batch = self.rows_at_once = self._batch
        parts, done = self._begun()
        with torch.inference_mode():
            for start in range(done, len(tokens), batch):
                rows = torch.from_numpy(tokens[start : start + batch]).to(self.device)
                parts.append(self._scored(rows))
                done = min(start + batch, len(tokens))
                if self.checkpoint is not None and (self.checkpoint.due() or done == len(tokens)):
                    parts = [_joined(parts)]
                    self.checkpoint.save(self._saved(parts[0]), done)
                if self.advance is not None:
                    self.advance(done, len(tokens))
        return {name: value.numpy() for name, value in _joined(parts or [_none()]).items()}

    @property
    def short(self) -> bool:
        """Whether the device was out of memory for a batch."""
        return self.rows_at_once < self._batch

    @property
    def _batch(self) -> int:
        """The rows at a time that were asked for."""
        return self.batch or BATCHES[self.device]

    def _begun(self) -> tuple[list[dict[str, Tensor]], int]:
        """Return what a checkpoint holds, in parts, and how many rows that is."""
        found = None if self.checkpoint is None else self.checkpoint.load()
        if found is None:
            return [], 0
        tensors, done = found
        self.rows_at_once = int(tensors.pop("rows_at_once"))
        self.relabelled = int(tensors.pop("relabelled"))
        return [{name: tensors[name] for name in _none()}], done

    def _saved(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        counts = {"rows_at_once": self.rows_at_once, "relabelled": self.relabelled}
        return found | {name: torch.tensor(value) for name, value in counts.items()}

    def _scored(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the statistics of one batch, its doubtful rows in fp32, on the CPU."""

        def work(at_once: int) -> dict[str, Tensor]:
            return _joined([self._of(part) for part in torch.split(rows, at_once)])

        found, self.rows_at_once = halving(
            len(rows), self.rows_at_once, work, "scoring with a proxy"
        )
        return found

    def _of(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the statistics of some rows, the doubtful ones by fp32."""
        found = _joined(self._parts(rows, self.precision))
        doubtful = found.pop(CLOSEST) < DOUBTFUL
        if self.precision != "fp32" and bool(doubtful.any()):
            again = _joined(self._parts(rows[doubtful.to(rows.device)], "fp32"))
            for name, value in found.items():
                value[doubtful] = again[name]
            self.relabelled += int(doubtful.sum())
        return found

    def _parts(self, rows: Tensor, precision: Precision) -> Iterator[dict[str, Tensor]]:
        """Yield the statistics of some rows, a chunk of logits at a time."""
        with in_precision(self.device, precision):
            hidden = self.model.hidden(rows[:, :-1])
        elements = CHUNK_ELEMENTS_CUDA if self.device == "cuda" else CHUNK_ELEMENTS
        count = max(1, elements // (SEQUENCE * self.model.vocabulary))
        for start in range(0, len(rows), count):
            # the head in float32 always: a bf16 logit of 10 is 0.06 from the next
            logits = self.model.head(hidden[start : start + count].float()).float()
            yield _reduced(logits, rows[start : start + count, 1:])


def _joined(parts: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the statistics of several parts as one, on the CPU."""
    listed = list(parts)
    return {name: torch.cat([part[name].cpu() for part in listed]) for name in listed[0]}


def _none() -> dict[str, Tensor]:
    """Return the statistics of no row."""
    tokens = torch.zeros(0, SEQUENCE, dtype=torch.int64)
    return statistics(torch.zeros(0, SEQUENCE, 2), tokens)


def statistics(logits: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """Return the statistics of logits.

    Args:
        logits: of each step, (rows, 64, vocabulary).
        tokens: the true ones, (rows, 64).
    """
    found = _reduced(logits, tokens)
    del found[CLOSEST]
    return found


def _reduced(logits: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """Return the statistics of logits, and how near each row comes to another label.

    log_p_z, hits, margin, entropy and rank are of the 32 suffix tokens; mean NLL and Min-K of all
    64. What is reduced is the lead of each token, its logit minus the largest, which differs from
    log p by a number that no deviation and no comparison depends on: log p is never made.

    Args:
        logits: of each step, float32, (rows, 64, vocabulary).
        tokens: the true ones, (rows, 64).
    """
    index = tokens.unsqueeze(-1)
    lead = logits - logits.amax(-1, keepdim=True)  # (rows, 64, vocabulary)
    true_lead = lead.gather(-1, index)  # (rows, 64, 1)
    rank, other = _against(lead[:, -SUFFIX:], true_lead[:, -SUFFIX:], index[:, -SUFFIX:])
    true_suffix = true_lead[:, -SUFFIX:].squeeze(-1)  # (rows, 32)
    hits = true_suffix > other
    if bool((true_suffix == other).any()):  # greedy decoding takes the first of equals
        hits = logits[:, -SUFFIX:].argmax(-1) == tokens[:, -SUFFIX:]
    odds = lead.exp()
    total = odds.sum(-1)
    mean, square = _moments(odds, lead, total)
    normal = total.log()
    truth = true_lead.squeeze(-1) - normal
    return {
        "log_p_z": log_p_z(truth[:, -SUFFIX:]),
        "memorized": memorized(hits),
        "run_length": run_length(hits).to(torch.int32),
        "margin": (true_suffix - other).amin(-1),
        CLOSEST: _closest(true_suffix - other),
        "mean_nll": -truth.mean(-1),
        "min_k": min_k(truth),
        "min_k_pp": min_k(standardised(true_lead.squeeze(-1), mean, square)),
        "entropy": (normal - mean)[:, -SUFFIX:].mean(-1),
        "mean_rank": rank.mean(-1),
    }


def _closest(leads: Tensor) -> Tensor:
    """Return the smallest lead or lag of each row up to its first sure miss: what labels rest on.

    Args:
        leads: of the true token over the best other one, (rows, tokens).
    """
    missed = leads < -DOUBTFUL
    decided = missed.int().cumsum(-1) - missed.int() > 0
    return leads.abs().masked_fill(decided, torch.inf).amin(-1)


def _against(lead: Tensor, true_lead: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many tokens lead the true one, and the largest lead of another, (rows, tokens).

    `lead` is changed and changed back. Comparing into float32 and adding those is four times as
    fast on a CPU as adding booleans, and exact.

    Args:
        lead: logits minus the largest of their step, (rows, tokens, vocabulary).
        true_lead: of the true tokens, (rows, tokens, 1).
        index: numbers of the true tokens, (rows, tokens, 1).
    """
    rank = torch.gt(lead, true_lead, out=torch.empty_like(lead)).sum(-1)
    lead.scatter_(-1, index, -torch.inf)
    other = lead.amax(-1)
    lead.scatter_(-1, index, true_lead)
    return rank, other


def _moments(odds: Tensor, lead: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the mean square of the lead under the model, (rows, tokens).

    Args:
        odds: exp(lead), (rows, tokens, vocabulary); it is overwritten.
        lead: logits minus the largest of their step, (rows, tokens, vocabulary).
        total: sum of the odds, (rows, tokens).
    """
    mean = odds.mul_(lead).sum(-1) / total
    return mean, odds.mul_(lead).sum(-1) / total
