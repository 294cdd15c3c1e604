"""One teacher-forced pass over sequences, reduced on the device to a dozen numbers each.

A scored sequence is EOS and 64 tokens, 32 of prefix and 32 of suffix: exactly the rows that proxies
are trained on. No logits of more than a chunk of tokens exist at a time, and none leave the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.proxy.model import Transformer
from pipeline.signals.extraction import log_p_z, memorized, run_length
from pipeline.signals.min_k import min_k, standardised

SEQUENCE = 64
SUFFIX = 32
BATCH = 64
CHUNK_ELEMENTS = 1 << 18  # logits at a time: what stays in the cache

Statistics = dict[str, NDArray[np.generic]]


class Scorer(Protocol):
    """Anything that scores sequences: a trained proxy, a loaded model, a fake in a test."""

    def score(self, tokens: NDArray[np.int64]) -> Statistics:
        """Return one array per statistic of `schemas.sequences`, `seen` apart.

        tokens: [n, 65], the first is EOS.
        """


@dataclass(frozen=True)
class ProxyScorer:
    """Scores with a proxy, a batch at a time. advance hears (done, total) rows."""

    model: Transformer
    device: str = "cpu"
    batch: int = BATCH
    advance: Callable[[int, int], None] | None = None

    def score(self, tokens: NDArray[np.int64]) -> Statistics:
        """Return the statistics of each row; `batch` rows at a time, their order kept."""
        parts: list[dict[str, Tensor]] = []
        with torch.inference_mode():
            for start in range(0, len(tokens), self.batch):
                rows = torch.from_numpy(tokens[start : start + self.batch]).to(self.device)
                parts += self._parts(rows)
                if self.advance is not None:
                    self.advance(min(start + self.batch, len(tokens)), len(tokens))
        empty = statistics(torch.zeros(0, SEQUENCE, 2), torch.zeros(0, SEQUENCE, dtype=torch.int64))
        return {
            name: torch.cat([part[name].cpu() for part in parts or [empty]]).numpy()
            for name in empty
        }

    def _parts(self, rows: Tensor) -> Iterator[dict[str, Tensor]]:
        hidden = self.model.hidden(rows[:, :-1])
        count = max(1, CHUNK_ELEMENTS // (SEQUENCE * self.model.shape.vocabulary))
        for start in range(0, len(rows), count):
            logits = self.model.head(hidden[start : start + count]).float()
            yield statistics(logits, rows[start : start + count, 1:])


def statistics(logits: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """Reduce logits [rows, 64, vocabulary] in float32 of the true `tokens` [rows, 64].

    log_p_z, hits, margin, entropy and rank are of the 32 suffix tokens; mean NLL and Min-K of all
    64. What is reduced is the lead of each token, its logit over the largest, which differs from
    log p by a number that no deviation and no comparison depends on: log p is never made.
    """
    index = tokens.unsqueeze(-1)
    lead = logits - logits.amax(-1, keepdim=True)
    true_lead = lead.gather(-1, index)
    rank, other = _against(lead[:, -SUFFIX:], true_lead[:, -SUFFIX:], index[:, -SUFFIX:])
    true_suffix = true_lead[:, -SUFFIX:].squeeze(-1)
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
        "mean_nll": -truth.mean(-1),
        "min_k": min_k(truth),
        "min_k_pp": min_k(standardised(true_lead.squeeze(-1), mean, square)),
        "entropy": (normal - mean)[:, -SUFFIX:].mean(-1),
        "mean_rank": rank.mean(-1),
    }


def _against(lead: Tensor, true_lead: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many tokens lead the true one, and the best lead of another.

    `lead` comes back as it was. Comparing into float32 and adding those is four times as fast on a
    CPU as adding booleans, and exact.
    """
    rank = torch.gt(lead, true_lead, out=torch.empty_like(lead)).sum(-1)
    lead.scatter_(-1, index, -torch.inf)
    other = lead.amax(-1)
    lead.scatter_(-1, index, true_lead)
    return rank, other


def _moments(odds: Tensor, lead: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the mean square of the lead under the model; `odds` is used up."""
    mean = odds.mul_(lead).sum(-1) / total
    return mean, odds.mul_(lead).sum(-1) / total
