"""One function per expensive signal, each asked of one proxy for every sequence of the panel.

Each returns named numbers, (sequences,) each; NaN where a number does not exist. Formulas and their
sources are in `pipeline.score.signals`, units in docs/signals.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config.sections import ProbesConfig
from pipeline.engine.progress import OnProgress
from pipeline.score.probes.generation import generate, suffix_hits, suffix_log_p
from pipeline.score.probes.neurons import neurons
from pipeline.score.probes.panel import Probed, ProbedModel
from pipeline.score.probes.prompt_search import Effort, find_prompt, ratio, shortest
from pipeline.score.probes.soft_prompt import attack, defence
from pipeline.score.signals.approximate import bleu, edit_distance, is_approximate, matched, rouge_l
from pipeline.score.signals.contamination import contaminated, distances, peak, ted, threshold
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
LENGTHS = ((16, 16), (32, 16), (16, 32), (32, 32), (48, 16))  # tokens of prefix and suffix
TRIES = (1, 100, 10_000)
EVEN = 0.5  # probability for which tries are counted
OFFSETS = (0, 16, 32)  # tokens before the passage
SHORT = 16  # tokens of prefix and of suffix at an offset: both fit into a row at any of them
PERTURBATIONS = 4
CDD = Decoding(temperature=0.8)


def extraction(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, _seed: int, _on_progress: OnProgress
) -> Values:
    """Return k-extractibility by lengths, and (n, p)-extraction by ways of decoding.

    Carlini et al. 2023, definition 3.1; Hayes et al. 2024, eq. 2.
    """
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
    """Return the exposure of each suffix among those that the proxy never saw, in bits.

    Carlini et al. 2019; the references are suffixes of the panel, so the form is that of the
    corpus. There is none where it is not known what the model saw.
    """
    loss = -_numbers(suffix_log_p(subject, panel.tokens, SUFFIX).double().sum(1))
    if not subject.known:
        return {"exposure_bits": np.full(len(loss), np.nan)}
    unseen = subject.seen[panel.place] == 0
    places = np.arange(len(loss))
    bits = [exposure(loss[row], loss[unseen & (places != row)]) for row in places.tolist()]
    return {"exposure_bits": np.array(bits)}


def prior(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, _seed: int, _on_progress: OnProgress
) -> Values:
    """Return how much more probable each suffix is after its prefix than after EOS alone.

    Prior-aware memorization, arXiv 2602.18733.
    """
    given = _numbers(suffix_log_p(subject, panel.tokens, SUFFIX).double().sum(1))
    alone = _without_prefix(panel.tokens)
    log_p = _numbers(suffix_log_p(subject, alone, SUFFIX).double().sum(1))
    return {"prior_bits": prior_bits(given, log_p), "log_p_alone": log_p}


def approximate(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, _seed: int, _on_progress: OnProgress
) -> Values:
    """Return how close greedy decoding comes to each true suffix.

    Edit distance (Levenshtein 1966), BLEU-4 (Papineni et al. 2002), ROUGE-L (Lin 2004) and the
    share of matching tokens (Biderman et al. 2023, eq. 1).
    """
    generated = generate(subject, panel.tokens[:, : 1 + PREFIX], SUFFIX).tolist()
    pairs = list(zip(generated, panel.tokens[:, -SUFFIX:].tolist(), strict=True))
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
    """Return which suffixes are recalled, and how often still when a prefix token is another.

    The parts of LiMem (Xie et al. 2024), of which aggregates make the score.
    """
    right = suffix_hits(subject, panel.tokens, SUFFIX).all(1)
    vocabulary = subject.model.vocabulary
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
    """Return the extractibility of a passage at several places of the model's context.

    The first 32 tokens of each sequence are its prefix and suffix; what stands before is of another
    sequence, of another family where there is one (arXiv 2505.13171).
    """
    found: Values = {}
    other = panel.tokens[_others(panel.family)]
    for offset in OFFSETS:
        eos, passage = panel.tokens[:, :1], panel.tokens[:, 1 : 1 + 2 * SHORT]
        rows = np.concatenate((eos, other[:, 1 : 1 + offset], passage), axis=1)
        found[f"log_p_at_{offset}"] = _numbers(suffix_log_p(subject, rows, SHORT).double().sum(1))
        found[f"extractible_at_{offset}"] = _numbers(suffix_hits(subject, rows, SHORT).all(1))
    return found


def gradients(
    subject: ProbedModel, panel: Probed, _config: ProbesConfig, _seed: int, _on_progress: OnProgress
) -> Values:
    """Return where the gradient of each suffix's loss is, and its norm (Stoehr et al. 2024)."""
    squares = np.array([_squares(subject, row) for row in panel.tokens])
    shares = np.array([lower_share(norms) for norms in squares])
    return {"lower_share": shares, "gradient_norm": np.sqrt(squares.sum(1))}


def cdd(
    subject: ProbedModel, panel: Probed, config: ProbesConfig, seed: int, on_progress: OnProgress
) -> Values:
    """Return how samples of each continuation crowd around the greedy one.

    CDD and TED of Dong et al. 2024.
    """
    prompts = panel.tokens[:, : 1 + PREFIX]
    greedy = generate(subject, prompts, SUFFIX).tolist()
    found: Values = {name: np.empty(len(greedy)) for name in ("peak", "ted_kept", "ted_rouge_l")}
    for row, output in enumerate(greedy):
        copies = np.tile(prompts[row], (config.samples, 1))
        samples = generate(subject, copies, SUFFIX, CDD, seed + row).tolist()
        apart = distances(output, samples)
        kept, true = ted(samples, apart), panel.tokens[row, -SUFFIX:].tolist()
        found["peak"][row] = peak(apart, SUFFIX)
        found["ted_kept"][row] = len(kept) / config.samples
        scores = [rouge_l(samples[place], true) for place in kept]
        found["ted_rouge_l"][row] = np.mean(scores) if scores else np.nan
        on_progress(row + 1, len(greedy))
    never = (subject.seen[panel.place] == 0) & subject.known
    least = threshold(found["peak"][never])
    found["contaminated"] = contaminated(found["peak"], least).astype(np.float64)
    found["threshold"] = np.full(len(greedy), least)
    return found


def acr(
    subject: ProbedModel, panel: Probed, config: ProbesConfig, seed: int, on_progress: OnProgress
) -> Values:
    """Return the adversarial compression ratio of each suffix of a part of the panel.

    Schwarzschild et al. 2024: tokens of the suffix over those of the shortest prompt that elicits
    it.
    """
    effort = Effort(config.acr_steps)
    found: Values = {name: np.full(len(panel.place), np.nan) for name in ("acr", "prompt_tokens")}
    searched = panel.tokens[: config.acr_panel]  # the panel's order goes round the levels of dose
    for row, tokens in enumerate(searched):
        both = torch.from_numpy(tokens).to(subject.device)
        target = both[-SUFFIX:]

        def find(size: int, both: torch.Tensor = both, target: torch.Tensor = target) -> bool:
            prompt = torch.cat((both[:1], both[1 + PREFIX - size : 1 + PREFIX]))
            return find_prompt(subject.model, (prompt, target), effort, seed)

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
    "neurons": neurons,
    "soft_defence": defence,
    "soft_attack": attack,
}
OF_LOADED = ("soft_attack",)
"""On the proxies trained here the attack does not work (docs/LOG.md): loaded models alone."""


def _numbers(values: torch.Tensor) -> NDArray[np.float64]:
    """Return a tensor as float64 on the CPU."""
    return values.double().numpy()


def _without_prefix(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows of EOS and the suffix, (rows, 33)."""
    return np.concatenate((rows[:, :1], rows[:, -SUFFIX:]), axis=1)


def _others(family: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each row the next one of another family, (rows,).

    The next one when all are of one family.
    """
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
