"""Soft prompts: vectors read before a sequence that make a model recite less, or more.

Ozdayi et al. 2023: vectors behind the end-of-text token are trained, the model is not. The defence
holds the loss of what is recited at a bound or above: below it the vectors climb, above it they
descend, which is the gradient of the distance from the bound. The attack lowers the loss of the
suffixes. Trained on the recited sequences of one half of the families; all numbers are of the
other half. Vectors alone move a text away from where it was learnt, so the start, with vectors of
random tokens, is told too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config.sections import ProbesConfig
from pipeline.engine.progress import OnProgress
from pipeline.score.forecast.bootstrap import row_weights
from pipeline.score.forecast.logistic import DRAWS
from pipeline.score.probes.aggregates import SignalValues
from pipeline.score.probes.cost import BOUNDS, ROWS, STEPS
from pipeline.score.probes.panel import Probed, ProbedModel
from pipeline.score.slices import SUFFIX
from pipeline.text.arrays import Flags, Int64
from pipeline.text.hashing import keyed_hash

VECTORS = 8
RATE = 0.3  # of Adam, in standard deviations of the embeddings
LEAST = 4  # sequences to train on
AT_ONCE = 64  # rows
_HALF = 61

Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class _Lesson:
    """What vectors are trained on, and for.

    Attributes:
        rows: EOS and a sequence each, (rows, 65).
        aim: what is made small, of the mean loss of the suffix in nats a token.
        seed: of the start and the order.
    """

    rows: Int64  # (rows, 65)
    aim: Callable[[Tensor], Tensor]
    seed: int


def defence(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, seed: int, on_progress: OnProgress
) -> Values:
    """Return what is recited, and the nats a token, behind vectors trained to hold each bound."""
    recited, _ = _asked(subject, None, panel.tokens)
    found, of_half = _begun(subject, panel, recited, seed)
    if not found:
        return found
    for number, bound in enumerate(BOUNDS, 1):

        def aim(loss: Tensor, bound: float = bound) -> Tensor:
            return (loss - bound).abs()

        vectors = _trained(subject, _Lesson(panel.tokens[of_half & recited], aim, seed))
        _tell(found, f"at_{bound:g}", _asked(subject, vectors, panel.tokens), of_half)
        on_progress(number, len(BOUNDS))
    return found


def attack(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, seed: int, on_progress: OnProgress
) -> Values:
    """Return what is recited behind vectors trained to have suffixes recited."""
    recited, _ = _asked(subject, None, panel.tokens)
    found, of_half = _begun(subject, panel, recited, seed)
    if not found:
        return found
    vectors = _trained(subject, _Lesson(panel.tokens[of_half & recited], lambda loss: loss, seed))
    _tell(found, "attacked", _asked(subject, vectors, panel.tokens), of_half)
    on_progress(1, 1)
    return found


def _begun(subject: ProbedModel, panel: Probed, recited: Flags, seed: int) -> tuple[Values, Flags]:
    """Return the numbers without vectors and with those of the start, and the half trained on.

    No numbers where fewer than LEAST sequences of that half of the families are recited.
    """
    of_half = _half(panel.family, recited, seed)
    found: Values = {}
    if (of_half & recited).sum() >= LEAST:
        _tell(found, "plain", _asked(subject, None, panel.tokens), of_half)
        start = _start(subject, seed)
        _tell(found, "started", _asked(subject, start, panel.tokens), of_half)
    return found, of_half


def _half(family: Int64, recited: Flags, seed: int) -> Flags:
    """Return which sequences are of one half of the families, recited ones halved apart."""
    known = np.unique(family[recited])
    families = np.concatenate((known, np.setdiff1d(family, known)))
    tie = keyed_hash(families.astype(np.uint64), seed + _HALF)
    order = families[np.lexsort((tie, ~np.isin(families, known)))]
    return np.isin(family, order[::2])


def _tell(
    found: Values, name: str, answer: tuple[Flags, NDArray[np.float64]], of_half: Flags
) -> None:
    """Add two numbers of the sequences whose half of the families was not trained on."""
    for key, value in zip(("recited", "nats"), answer, strict=True):
        found[f"{key}_{name}"] = np.where(of_half, np.nan, value.astype(np.float64))


def _start(subject: ProbedModel, seed: int) -> Tensor:
    """Return the vectors of random tokens, (VECTORS, width)."""
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(subject.model.vocabulary, (VECTORS,), generator=draw)
    with torch.no_grad():
        return subject.model.embed(tokens.to(subject.device)).clone()


def _trained(subject: ProbedModel, lesson: _Lesson) -> Tensor:
    """Return vectors trained on a lesson, (VECTORS, width)."""
    vectors = _start(subject, lesson.seed).requires_grad_()
    order = np.random.Generator(np.random.PCG64(lesson.seed))
    with torch.no_grad():
        every = torch.arange(subject.model.vocabulary, device=subject.device)
        spread = float(subject.model.embed(every).std())
    optimiser = torch.optim.Adam([vectors], RATE * spread)
    for _ in range(STEPS):
        rows = order.choice(lesson.rows, min(ROWS, len(lesson.rows)), replace=False)
        loss = lesson.aim(_losses(subject, vectors, rows).mean())
        optimiser.zero_grad()
        (vectors.grad,) = torch.autograd.grad(loss, [vectors])
        optimiser.step()
    return vectors.detach()


def _losses(subject: ProbedModel, vectors: Tensor, rows: Int64) -> Tensor:
    """Return the loss of each row's suffix behind vectors, in nats a token, (rows,)."""
    logits, tokens = _logits(subject, vectors, rows)
    log_p = logits[:, -SUFFIX:].log_softmax(-1)
    return -log_p.gather(-1, tokens[:, -SUFFIX:, None]).squeeze(-1).mean(1)


def _logits(subject: ProbedModel, vectors: Tensor | None, rows: Int64) -> tuple[Tensor, Tensor]:
    """Return the logits of the 64 tokens of rows behind vectors, and these tokens."""
    tokens = torch.from_numpy(rows).to(subject.device)
    read = subject.model.embed(tokens[:, :-1])
    if vectors is not None:
        between = vectors[None].expand(len(rows), -1, -1)
        read = torch.cat((read[:, :1], between, read[:, 1:]), 1)
    hidden = subject.model.hidden_of(read)[:, -(tokens.shape[1] - 1) :]
    return subject.model.head(hidden).float(), tokens[:, 1:]


def _asked(
    subject: ProbedModel, vectors: Tensor | None, rows: Int64
) -> tuple[Flags, NDArray[np.float64]]:
    """Return which suffixes are recited behind vectors, and the mean nats of the 64 tokens."""
    parts = list(_answers(subject, vectors, rows))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value] # two arrays


def _answers(
    subject: ProbedModel, vectors: Tensor | None, rows: Int64
) -> Iterator[tuple[Flags, NDArray[np.float64]]]:
    """Yield the answers of some rows at a time."""
    for start in range(0, len(rows), AT_ONCE):
        with torch.no_grad():
            logits, tokens = _logits(subject, vectors, rows[start : start + AT_ONCE])
            hits = (logits.argmax(-1) == tokens)[:, -SUFFIX:].all(1)
            log_p = logits.log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)
        yield hits.cpu().numpy(), -log_p.double().mean(1).cpu().numpy()


def cost_curve(of: SignalValues, seed: int) -> list[dict[str, Any]]:
    """Return what a defence keeps from being recited, and what it costs, a row for each vectors.

    `still_recited` is of the sequences that are recited without vectors; `nats_added` are the nats
    a token that text which the model does not know loses: never seen, or not recited where what it
    saw is not known. All are of the families left out, with a 95% bootstrap over them; no rows
    where either is of no sequence.

    Args:
        of: the numbers of the defence.
        seed: of the bootstrap.
    """
    if not of.values:
        return []
    told = ~np.isnan(of.values["recited_plain"])
    recited = told & (of.values["recited_plain"] > 0)
    unknown = told & ((of.seen == 0) if of.known else ~recited)
    if not recited.any() or not unknown.any():
        return []
    weight = np.concatenate(list(row_weights(of.panel.family, DRAWS, seed)))
    names = [name.removeprefix("recited_") for name in of.values if name.startswith("recited_")]
    rows = []
    for name in names:
        added = of.values[f"nats_{name}"] - of.values["nats_plain"]
        still, still_95 = _mean(of.values[f"recited_{name}"], recited, weight)
        nats, nats_95 = _mean(added, unknown, weight)
        rows.append(
            {
                "vectors": name,
                "still_recited": still,
                "still_recited_95": still_95,
                "sequences": int(recited.sum()),
                "nats_added": nats,
                "nats_added_95": nats_95,
                "unknown": int(unknown.sum()),
            }
        )
    return rows


def _mean(
    value: NDArray[np.float64], inside: Flags, weight: NDArray[np.float64]
) -> tuple[float, list[float]]:
    """Return the mean of some sequences, and the ends of its interval over draws of families."""
    own, times = value[inside], weight[:, inside]
    drawn = (times @ own)[times.any(1)] / times.sum(1)[times.any(1)]
    ends = [round(float(end), 5) for end in np.quantile(drawn, (0.025, 0.975))]
    return round(float(own.mean()), 5), ends
