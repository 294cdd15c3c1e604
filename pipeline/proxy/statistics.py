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
    64.
    """
    index = tokens.unsqueeze(-1)
    log_all = torch.log_softmax(logits, dim=-1)
    truth = log_all.gather(-1, index).squeeze(-1)
    weighted = log_all.exp().mul_(log_all)
    mean = weighted.sum(-1)
    square = weighted.mul_(log_all).sum(-1)
    log_suffix, index, true_suffix = log_all[:, -SUFFIX:], index[:, -SUFFIX:], truth[:, -SUFFIX:]
    # the same comparison as greedy decoding's arg-max, ties included, on the logits themselves
    hits = logits[:, -SUFFIX:].argmax(-1) == tokens[:, -SUFFIX:]
    rank = (log_suffix > true_suffix.unsqueeze(-1)).sum(-1)
    other = log_suffix.scatter(-1, index, -torch.inf).amax(-1)
    return {
        "log_p_z": log_p_z(true_suffix),
        "memorized": memorized(hits),
        "run_length": run_length(hits).to(torch.int32),
        "margin": (true_suffix - other).amin(-1),
        "mean_nll": -truth.mean(-1),
        "min_k": min_k(truth),
        "min_k_pp": min_k(standardised(truth, mean, square)),
        "entropy": -mean[:, -SUFFIX:].mean(-1),
        "mean_rank": rank.float().mean(-1),
    }
