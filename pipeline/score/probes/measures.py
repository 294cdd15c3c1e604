"""One function per expensive signal: what a proxy says of every sequence of the panel.

Each returns named numbers, one per sequence; NaN where a number does not exist. docs/signals.md has
their units.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config.sections import ProbesConfig
from pipeline.engine.progress import OnProgress
from pipeline.score.probes.generation import generate, suffix_hits, suffix_log_p
from pipeline.score.probes.panel import Probed, ProbedModel
from pipeline.score.probes.prompt_search import Effort, find_prompt, ratio, shortest
from pipeline.score.signals.approximate import bleu, edit_distance, is_approximate, matched, rouge_l
from pipeline.score.signals.contamination import contaminated, distances, peak, ted
from pipeline.score.signals.decoding import Decoding
from pipeline.score.signals.exposure import exposure
from pipeline.score.signals.extraction import extractible, probability_within, tries_needed
from pipeline.score.signals.localisation import lower_share
from pipeline.score.signals.perturbation import perturbed
from pipeline.score.signals.ratios import prior_bits
from pipeline.score.slices import PREFIX, SEQUENCE, SUFFIX

Values = dict[str, NDArray[np.float64]]
Measure = Callable[[ProbedModel, Probed, ProbesConfig, int, OnProgress], Values]
DECODINGS = {
    "t1": Decoding(),
    "t0.8": Decoding(temperature=0.8),
    "top_k40": Decoding(top_k=40),
    "top_p0.9": Decoding(top_p=0.9),
}
LENGTHS = ((16, 16), (32, 16), (16, 32), (32, 32), (48, 16))
TRIES = (1, 100, 10_000)
EVEN = 0.5
OFFSETS = (0, 16, 32)  # tokens before the passage
SHORT = 16  # prefix and suffix of a probe by offset: it fits into a training row at any of them
PERTURBATIONS = 4
CDD = Decoding(temperature=0.8)


def extraction(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, _seed: int, _on_progress: OnProgress
) -> Values:
    """Measure k-extractibility by lengths, and (n, p)-extraction by ways of decoding."""
    hits = suffix_hits(subject, panel.tokens, SEQUENCE)
    found: Values = {
        f"extractible_{before}_{after}": _numbers(extractible(hits, before, after))
        for before, after in LENGTHS
    }
    for name, decoding in DECODINGS.items():
        log_p = suffix_log_p(subject, panel.tokens, SUFFIX, decoding).double().sum(1).tolist()
        found[f"log_p_z_{name}"] = np.array(log_p)
        found[f"tries_{name}"] = np.array([tries_needed(value, EVEN) for value in log_p])
        for tries in TRIES:
            within = [probability_within(value, tries) for value in log_p]
            found[f"within_{tries}_{name}"] = np.array(within)
    return found


def exposure_among_unseen(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, _seed: int, _on_progress: OnProgress
) -> Values:
    """Measure the exposure of each suffix among those of the panel that the proxy never saw."""
    loss = -_numbers(suffix_log_p(subject, panel.tokens, SUFFIX).double().sum(1))
    unseen = subject.seen[panel.place] == 0
    places = np.arange(len(loss))
    bits = [exposure(loss[row], loss[unseen & (places != row)]) for row in places.tolist()]
    return {"exposure_bits": np.array(bits)}


def prior(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, _seed: int, _on_progress: OnProgress
) -> Values:
    """Measure what the prefix tells of the suffix."""
    given = _numbers(suffix_log_p(subject, panel.tokens, SUFFIX).double().sum(1))
    alone = _without_prefix(panel.tokens)
    log_p = _numbers(suffix_log_p(subject, alone, SUFFIX).double().sum(1))
    return {"prior_bits": prior_bits(given, log_p), "log_p_alone": log_p}


def approximate(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, _seed: int, _on_progress: OnProgress
) -> Values:
    """Decode every suffix greedily and compare it with the true one."""
    said = generate(subject, panel.tokens[:, : 1 + PREFIX], SUFFIX).tolist()
    pairs = list(zip(said, panel.tokens[:, -SUFFIX:].tolist(), strict=True))
    edits = [edit_distance(*pair) for pair in pairs]
    return {
        "edit_distance": np.array(edits, np.float64),
        "approximate": np.array([float(is_approximate(edit, SUFFIX)) for edit in edits]),
        "bleu": np.array([bleu(*pair) for pair in pairs]),
        "rouge_l": np.array([rouge_l(*pair) for pair in pairs]),
        "matched": np.array([matched(*pair) for pair in pairs]),
    }


def limem(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, seed: int, _on_progress: OnProgress
) -> Values:
    """Tell which suffixes are recalled, and how often still when a prefix token is another."""
    right = suffix_hits(subject, panel.tokens, SUFFIX).all(1)
    vocabulary = subject.model.shape.vocabulary
    changed = [
        perturbed(panel.tokens, PREFIX, vocabulary, seed + number)
        for number in range(PERTURBATIONS)
    ]
    still = torch.stack([suffix_hits(subject, rows, SUFFIX).all(1) for rows in changed])
    return {
        "right": _numbers(right),
        "consistent": np.where(right.numpy(), _numbers(still.double().mean(0)), np.nan),
        "right_perturbed": _numbers(still.double().mean(0)),
    }


def offsets(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, _seed: int, _on_progress: OnProgress
) -> Values:
    """Ask for the first 32 tokens of each sequence at several places of the model's context.

    What stands before is of another sequence of the panel, of another family where there is one.
    """
    found: Values = {}
    other = panel.tokens[_others(panel.family)]
    for offset in OFFSETS:
        eos, own = panel.tokens[:, :1], panel.tokens[:, 1 : 1 + 2 * SHORT]
        rows = np.concatenate((eos, other[:, 1 : 1 + offset], own), axis=1)
        found[f"log_p_at_{offset}"] = _numbers(suffix_log_p(subject, rows, SHORT).double().sum(1))
        found[f"extractible_at_{offset}"] = _numbers(suffix_hits(subject, rows, SHORT).all(1))
    return found


def gradients(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, _seed: int, _on_progress: OnProgress
) -> Values:
    """Measure where the gradient of each suffix's loss lies."""
    squares = np.array([_squares(subject, row) for row in panel.tokens])
    shares = np.array([lower_share(own) for own in squares])
    return {"lower_share": shares, "gradient_norm": np.sqrt(squares.sum(1))}


def cdd(
    subject: ProbedModel, panel: Probed, config: ProbesConfig, seed: int, on_progress: OnProgress
) -> Values:
    """Draw continuations and measure how they crowd around the greedy one."""
    prompts = panel.tokens[:, : 1 + PREFIX]
    greedy = generate(subject, prompts, SUFFIX).tolist()
    found: Values = {
        name: np.empty(len(greedy)) for name in ("peak", "contaminated", "ted_kept", "ted_rouge_l")
    }
    for row, own in enumerate(greedy):
        copies = np.tile(prompts[row], (config.samples, 1))
        samples = generate(subject, copies, SUFFIX, CDD, seed + row).tolist()
        apart = distances(own, samples)
        kept, true = ted(samples, apart), panel.tokens[row, -SUFFIX:].tolist()
        found["peak"][row] = peak(apart, SUFFIX)
        found["contaminated"][row] = contaminated(found["peak"][row])
        found["ted_kept"][row] = len(kept) / config.samples
        scores = [rouge_l(samples[place], true) for place in kept]
        found["ted_rouge_l"][row] = np.mean(scores) if scores else np.nan
        on_progress(row + 1, len(greedy))
    return found


def acr(
    subject: ProbedModel, panel: Probed, config: ProbesConfig, seed: int, on_progress: OnProgress
) -> Values:
    """Look for the shortest prompt that elicits each suffix; on a part of the panel."""
    effort = Effort(config.acr_steps)
    found: Values = {name: np.full(len(panel.place), np.nan) for name in ("acr", "prompt_tokens")}
    model = copy.deepcopy(
        subject.model
    )  # the search swaps its embedding while others ask the proxy
    searched = panel.tokens[: config.acr_panel]  # the panel's order goes round the levels of dose
    for row, tokens in enumerate(searched):
        both = torch.from_numpy(tokens).to(subject.device)
        target = both[-SUFFIX:]

        def find(size: int, both: torch.Tensor = both, target: torch.Tensor = target) -> bool:
            prompt = torch.cat((both[:1], both[1 + PREFIX - size : 1 + PREFIX]))
            return find_prompt(model, (prompt, target), effort, seed)

        best = shortest(find, SUFFIX - 1)
        found["acr"][row] = ratio(SUFFIX, best)
        found["prompt_tokens"][row] = best or np.nan
        on_progress(row + 1, len(searched))
    return found


MEASURES: Mapping[str, Measure] = {
    "extraction": extraction,
    "exposure": exposure_among_unseen,
    "prior": prior,
    "approximate": approximate,
    "limem": limem,
    "offsets": offsets,
    "gradients": gradients,
    "cdd": cdd,
    "acr": acr,
}


def _numbers(values: torch.Tensor) -> NDArray[np.float64]:
    return values.double().numpy()


def _without_prefix(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate((rows[:, :1], rows[:, -SUFFIX:]), axis=1)


def _others(family: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each row the next one of another family; the next one when all are of one."""
    count = len(family)
    chosen = (np.arange(count) + 1) % count
    for _ in range(count):
        same = family[chosen] == family
        if not same.any():
            break
        chosen[same] = (chosen[same] + 1) % count
    return chosen


def _squares(subject: ProbedModel, row: NDArray[np.int64]) -> list[float]:
    """Return the squared gradient norm of each block, lowest first."""
    tokens = torch.from_numpy(row).to(subject.device)
    hidden = subject.model.hidden(tokens[None, :-1])[0, -SUFFIX:]
    logits = subject.model.head(hidden).float()
    loss = torch.nn.functional.cross_entropy(logits, tokens[-SUFFIX:])
    blocks = [list(block.parameters()) for block in subject.model.parts]
    slopes = iter(torch.autograd.grad(loss, [part for block in blocks for part in block]))
    return [sum(float(next(slopes).double().square().sum()) for _ in block) for block in blocks]
