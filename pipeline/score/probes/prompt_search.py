"""Adversarial compression ratio: how short a prompt can make the model say a text.

ACR = tokens of the target / tokens of the shortest prompt that elicits it greedily; memorized iff
above 1 (Schwarzschild et al. 2024). MiniPrompt, as their code has it: begin with 5 free tokens, one
fewer after a success, 5 more after a failure. Prompts are found by greedy coordinate gradient (Zou
et al. 2023, algorithm 1): the gradient of the loss by each prompt token's one-hot vector names
candidates, a batch of single replacements is tried, the best is taken. The search begins at the
target's own last prefix tokens, so what they elicit is never missed. What is found is an upper
bound of the shortest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.score.proxy.readable import Readable

FIRST, LONGER = 5, 5


@dataclass(frozen=True)
class Effort:
    """The effort of the search for a prompt of one length.

    Attributes:
        steps: replacements at most.
        batch: prompts tried in a step.
        top: candidates for each place, by gradient.
    """

    steps: int
    batch: int = 32
    top: int = 64


def shortest(find: Callable[[int], bool], most: int, first: int = FIRST) -> int | None:
    """Return the least length with which the search succeeds; None without a success.

    Args:
        find: tells whether a prompt of so many tokens was found.
        most: tokens at most.
        first: tokens of the first prompt.
    """
    size, best = first, None
    while 1 <= size <= most:
        if find(size):
            best, size = size, size - 1
        elif best is not None:
            break
        else:
            size = size + LONGER if size == most or size + LONGER <= most else most
    return best


def ratio(target: int, prompt: int | None) -> float:
    """Return the ACR; 0 where no prompt shorter than the target was found."""
    return target / prompt if prompt else 0.0


def find_prompt(model: Readable, sides: tuple[Tensor, Tensor], effort: Effort, seed: int) -> bool:
    """Tell whether the search from a prompt finds one that elicits the target.

    Args:
        model: the model that is asked.
        sides: tokens of the first prompt, which begins with EOS (it stays), and of the target.
        effort: how long the search goes on.
        seed: of the candidates.
    """
    prompt, target = sides
    generator = torch.Generator().manual_seed(seed)
    if _losses(model, prompt[None], target)[1].any():
        return True
    for _ in range(effort.steps):
        tried = _candidates(prompt, _slopes(model, prompt, target), effort, generator)
        loss, elicits = _losses(model, tried, target)
        if elicits.any():
            return True
        prompt = tried[loss.argmin()]
    return False


def _losses(model: Readable, prompts: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the NLL of the target after each prompt, and whether it is said greedily.

    In nats; (prompts,) each.
    """
    rows = torch.cat((prompts, target.expand(len(prompts), -1)), 1)
    with torch.inference_mode():
        logits = model.head(model.hidden(rows[:, :-1])[:, -len(target) :]).float()
    truth = logits.log_softmax(-1).gather(-1, rows[:, -len(target) :, None]).squeeze(-1)
    return -truth.sum(1), (logits.argmax(-1) == target).all(1)


def _slopes(model: Readable, prompt: Tensor, target: Tensor) -> Tensor:
    """Return the gradient of the target's NLL by the one-hot vector of each free token.

    Its shape is (free tokens, vocabulary).
    """
    with torch.no_grad():
        every = model.embed(torch.arange(model.vocabulary, device=prompt.device))
        first, last = (model.embed(side[None])[0] for side in (prompt[:1], target[:-1]))
    free = every[prompt[1:]].clone().requires_grad_()
    hidden = model.hidden_of(torch.cat((first, free, last))[None])[0, -len(target) :]
    loss = torch.nn.functional.cross_entropy(model.head(hidden).float(), target)
    (slope,) = torch.autograd.grad(loss, [free])
    return slope @ every.T


def _candidates(
    prompt: Tensor, slopes: Tensor, effort: Effort, generator: torch.Generator
) -> Tensor:
    """Return prompts with one token replaced by one that the gradient favours, (batch, tokens)."""
    best = (-slopes).topk(min(effort.top, slopes.shape[1]), dim=1).indices
    place = torch.randint(len(slopes), (effort.batch,), generator=generator).to(prompt.device)
    choice = torch.randint(best.shape[1], (effort.batch,), generator=generator).to(prompt.device)
    tried = prompt.repeat(effort.batch, 1)
    tried[torch.arange(effort.batch, device=prompt.device), 1 + place] = best[place, choice]
    return tried
