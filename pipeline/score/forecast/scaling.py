"""The law in size, tokens and dose, and what is known of it beyond the ladder.

Within the ladder a run has evidence of its own: log odds linear in the logs of dose, size and
training tokens. What matters beyond it is the dose at which half of the sequences are recited, the
half dose: by the ladder it falls with size and grows with tokens by some exponent, and so it does
in published models, there over decades:

- Carlini et al. 2023 (Quantifying memorization): over sequences drawn evenly by log duplicates
  from 2 to 900, GPT-J 6B (trained on the Pile, 4e11 tokens) recites 33% after 50 tokens of context,
  and ten times the parameters recite 19 points more. An even draw over 6.1 e-folds puts the half
  dose of 6e9 parameters at exp(ln 900 - .33 x 6.1), about 120, and its exponent in size at
  -.19 x 6.1 / ln 10, about -.5.
- Biderman et al. 2023 (Emergent and predictable memorization): the sequences that Pythia models
  memorize grow by .25 logits an e-fold of size from 410M to 12B, an exponent of -.25 at one logit
  an e-fold of dose.
- Wei et al. 2025 (Hubble): what counts is frequency relative to the corpus, 8e9 parameters recite
  less of the same copies after 5e11 tokens than after 1e11: an exponent in tokens between 0 and 1.
- The published curves by duplicates are shallow, about one logit per e-fold, since texts differ.

So slopes beyond the ladder turn from the run's own to the published ones over a length that is not
known: many lengths and exponents are drawn, each weighed by how near its law comes to the
published half dose, and the interval spans them all. The more a ladder shows, the longer its own
slopes hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.score.forecast.bootstrap import each_draw
from pipeline.score.forecast.features import DOSES, UNSEEN
from pipeline.score.forecast.logistic import Cases, Logistic, Prior, fit, log_evidence, rung_errors
from pipeline.text.arrays import Float64, Int64
from pipeline.text.hashing import keyed_hash

SIZE_EXPONENT = (0.42, 0.15)  # of the half dose, falling: mean and deviation of what is published
TOKENS_EXPONENT = (0.5, 0.15)  # growing
LOGITS_PER_FOLD = (1.1, 0.2)  # of dose, over published texts
PUBLISHED = (6.05e9, 4.0e11)  # parameters, tokens
HALF_DOSE = (4.79, 1.0)  # log of the half dose there, and its deviation: other prefix, texts, steps
LENGTHS = (1.0, 2.0, 4.0, 8.0)  # e-folds over which own slopes turn into published ones
LAW_DRAWS = 128  # powers of two, for Sobol's sequence
CHOSEN = 256
MOST_CASES = 100_000  # that a law is fitted on; a panel of a GPU has millions
_CHOICE = 41
_RATIO = 78
FUTURES = 16  # laws beyond the ladder drawn for each draw of the ladder's own
LEAST_ERROR = 0.5  # logits, between two trainings of one size
# parameters a token at which half of a size is of use, with the weight of each before the fit
PER_TOKEN = {0.06: 0.2, 0.125: 0.25, 0.25: 0.25, 0.5: 0.15, 1.0: 0.1, 4.0: 0.05}
SLOPE_ERROR = 0.7  # deviation of the log of the slope of size beyond the ladder
BEYOND = 10.0  # times the ladder, in size or tokens: order and band only
_COEFFICIENTS = {
    # mean, deviation, least; logits per unit
    "log dose": (1.0, 1.0, 0.0),
    "log effective dose": (0.4, 0.5, 0.0),
    "log suffix dose": (0.7, 0.7, 0.0),
    "log rarest dose": (0.4, 0.5, 0.0),
    "log size": (3.0, 1.25, 0.0),
    "log tokens": (1.25, 0.75, 0.0),
    "log p per token": (0.5, 0.5, 0.0),
    "compressibility": (0.1, 0.3, 0.0),
    "log continuation share": (0.3, 0.5, 0.0),
    "suffix order": (0.1, 0.3, 0.0),
    "planted": (0.0, 1.0, -np.inf),
    "log planted dose": (0.0, 0.5, 0.0),
    "log p by the smaller": (0.5, 0.5, 0.0),
    "least margin": (0.3, 0.3, 0.0),
    "log size ratio": (0.0, 0.5, -np.inf),
}
_INTERCEPT = (-9.0, 5.0, -np.inf)


@dataclass(frozen=True)
class Model:
    """A model as the law sees it.

    Attributes:
        parameters: without embeddings.
        tokens: trained on, in all.
    """

    parameters: float
    tokens: float


@dataclass(frozen=True)
class Law:
    """Draws of the law: of its coefficients on the ladder, and of how it goes on beyond it.

    Attributes:
        names: of the features.
        central: the fit itself, with the ratio of the most weight.
        likeliest: that ratio, parameters a token at which half of a size is of use.
        betas: intercept and slopes of each draw, (draws, 1 + features).
        top: the largest proxy.
        per_token: the ratio of each draw, (draws,).
        error: deviation between trainings of one size, in logits.
        size_exponent: of the published half dose, of each future, (futures,).
        tokens_exponent: likewise.
        logits_per_fold: of the published dose, of each future, (futures,).
        length: e-folds over which slopes turn into published ones, (futures,).
        steeper: what the slope of size is multiplied by beyond the ladder, of each future,
            (futures,).
        noise: standard normal number of each future, for the error, (futures,).
        draw: the draw of coefficients that each future goes on from, (futures,).
        typical: intercept of each draw for a typical sequence of the corpus, (draws,).
    """

    names: tuple[str, ...]
    central: Logistic
    likeliest: float
    betas: Float64
    top: Model
    per_token: Float64
    error: float
    size_exponent: Float64
    tokens_exponent: Float64
    logits_per_fold: Float64
    length: Float64
    steeper: Float64
    noise: Float64
    draw: Int64
    typical: Float64


def prior_of(names: tuple[str, ...]) -> Prior:
    """Return the prior of the intercept and the slopes of some features."""
    rows = np.array([_INTERCEPT, *(_COEFFICIENTS[name] for name in names)])
    return Prior(rows[:, 0], rows[:, 1], rows[:, 2])


def fitted_law(
    names: tuple[str, ...], cases: Cases, typical: Float64, top: Model, seed: int
) -> Law:
    """Return the law that a ladder shows, with the futures that the published ones allow.

    Args:
        names: of the features.
        cases: what it is fitted on.
        typical: features of a typical sequence that occurs once, at the top proxy, (features,).
        top: the largest proxy.
        seed: of the draws.
    """
    from scipy.special import softmax
    from scipy.stats import norm

    cases = fewer(cases, MOST_CASES)
    prior = prior_of(names)
    per_token = np.array(list(PER_TOKEN))
    starved = [in_usable_size(cases, names, top, ratio) for ratio in PER_TOKEN]
    centres = [fit(each, prior) for each in starved]
    told = [log_evidence(each, prior, one) for each, one in zip(starved, centres, strict=True)]
    share = np.cumsum(softmax(np.log(list(PER_TOKEN.values())) + told))
    best = int(np.argmax(np.diff(share, prepend=0.0)))
    # each draw has a ratio, as often as its evidence says, in an order that tells nothing
    even = np.random.Generator(np.random.PCG64([seed, _RATIO])).permutation(LAW_DRAWS)
    ratio = np.searchsorted(share, (even + 0.5) / LAW_DRAWS * share[-1])
    numbers = _normal(len(prior.mean), LAW_DRAWS, seed)
    betas = np.stack(
        [
            fit(starved[place], prior.drawn(normal), weight, centres[place].beta).beta
            for place, normal, weight in zip(
                ratio.tolist(), numbers, each_draw(cases.family, LAW_DRAWS, seed), strict=True
            )
        ]
    )
    errors = rung_errors(starved[best], centres[best])
    error = float(np.sqrt(LEAST_ERROR**2 + (errors**2).mean()))
    futures = LAW_DRAWS * FUTURES
    random = _normal(6, futures, seed + 1)
    size, tokens, per_fold = (
        np.maximum(mean + deviation * random[:, place], 0.0)
        for place, (mean, deviation) in enumerate((SIZE_EXPONENT, TOKENS_EXPONENT, LOGITS_PER_FOLD))
    )
    length = np.array(LENGTHS)[(norm.cdf(random[:, 3]) * len(LENGTHS)).astype(np.int64)]
    draw = np.arange(futures) % LAW_DRAWS
    at = betas[:, 0] + np.einsum("df,f->d", betas[:, 1:], typical)
    return Law(
        names,
        centres[best],
        float(per_token[best]),
        betas,
        top,
        per_token[ratio],
        error,
        size_exponent=size,
        tokens_exponent=tokens,
        logits_per_fold=per_fold,
        length=length,
        steeper=np.exp(SLOPE_ERROR * random[:, 5]),
        noise=random[:, 4],
        draw=draw,
        typical=at,
    )


def fewer(cases: Cases, most: int) -> Cases:
    """Return at most so many cases, about, of whole families that a hash chooses."""
    if len(cases.label) <= most:
        return cases
    key = keyed_hash(cases.family.astype(np.uint64), _CHOICE)
    return cases.where(np.asarray(key / 2.0**64 < most / len(cases.label)))


def in_usable_size(cases: Cases, names: tuple[str, ...], top: Model, per_token: float) -> Cases:
    """Return the cases with the log of the usable size, over the top's, for the log of the size.

    Args:
        cases: with sizes and tokens relative to the top proxy's.
        names: of the features.
        top: the largest proxy.
        per_token: see `usable`.
    """
    size, tokens = (names.index(name) for name in ("log size", "log tokens"))
    features = cases.features.copy()
    parameters = top.parameters * np.exp(features[:, size])
    seen = top.tokens * np.exp(-features[:, tokens])
    whole = np.log(usable(parameters, seen, per_token))
    features[:, size] = whole - np.log(usable(top.parameters, top.tokens, per_token))
    return replace(cases, features=features)


def _normal(columns: int, rows: int, seed: int) -> Float64:
    """Return standard normal numbers that fill their space evenly (Sobol 1967), (rows, columns)."""
    from scipy.stats import norm, qmc

    even = qmc.Sobol(columns, seed=seed).random(rows)
    return np.asarray(norm.ppf(even.clip(1e-6, 1 - 1e-6)))


def doses_of(law: Law) -> Float64:
    """Return the log odds per e-fold of all doses together, of each draw, (draws,)."""
    places = [1 + law.names.index(name) for name in DOSES]
    return np.asarray(np.maximum(law.betas[:, places].sum(axis=1), 0.1))


def turning(own: Float64, published: Float64, length: Float64, folds: Float64 | float) -> Float64:
    """Return what is gained over some e-folds as a slope turns from one to another.

    The slope at x is published + (own - published) exp(-x / length).
    """
    return published * folds + (own - published) * length * -np.expm1(-folds / length)


def usable(
    parameters: Float64 | float, tokens: Float64 | float, per_token: Float64 | float
) -> Float64:
    """Return the size of a model as far as its tokens let it use it.

    A model of many parameters and few tokens remembers as a smaller one does; measured on targets
    of 4 times the ladder's size (docs/LOG.md, 2026-11-28 and -29). At how many parameters a token
    half of a size is of use is not known well: each of PER_TOKEN has the weight of what it says of
    the ladder. With 1 in 8 a model of 20 tokens a parameter uses 71% of its size.
    """
    return np.asarray(parameters / (1.0 + parameters / (per_token * tokens)), np.float64)


def beyond(law: Law, model: Model) -> tuple[Float64, Float64]:
    """Return shift and scale of the log odds of each future at a model, (futures,) each.

    They are of the log odds at the top proxy. Within the ladder the shift is the law's own and the
    scale is 1.

    Args:
        law: the law.
        model: the model that is forecast.
    """
    own = law.betas[law.draw]
    per_fold = doses_of(law)[law.draw]
    shift = np.zeros(len(law.draw))
    tokens = float(np.log(model.tokens / law.top.tokens))
    each = law.per_token[law.draw]
    size = np.log(usable(model.parameters, model.tokens, each))
    size -= np.log(usable(law.top.parameters, law.top.tokens, each))
    slope = own[:, 1 + UNSEEN.index("log size")]
    if "log size ratio" in law.names:
        slope = slope + own[:, 1 + law.names.index("log size ratio")]
    thinning = own[:, 1 + UNSEEN.index("log tokens")]
    shift += np.where(
        size > 0,
        turning(slope * law.steeper, law.size_exponent * per_fold, law.length, np.maximum(size, 0)),
        slope * size,
    )
    shift -= (
        turning(thinning, law.tokens_exponent * per_fold, law.length, tokens)
        if tokens > 0
        else thinning * tokens
    )
    far = np.hypot(np.maximum(size, 0.0), max(tokens, 0.0))
    flat = np.minimum(law.logits_per_fold, per_fold) / per_fold
    scale = flat + (1.0 - flat) * np.exp(-far / (8.0 * law.length))
    return shift, scale


def weights(law: Law) -> Float64:
    """Return how near each future comes to the published half dose, as weights, (futures,).

    Some weight is left to all of them, since the published point is of other texts.
    """
    shift, _ = beyond(law, Model(*PUBLISHED))
    half = -(law.typical[law.draw] + shift) / doses_of(law)[law.draw]
    mean, deviation = HALF_DOSE
    near = np.exp(-0.5 * ((half - mean) / deviation).clip(-30, 30) ** 2)
    return np.asarray((near / max(near.sum(), 1e-300)) * 0.98 + 0.02 / len(near))


def drawn_futures(law: Law, seed: int) -> Int64:
    """Return CHOSEN futures by their weights, (chosen,): systematic resampling."""
    total = np.cumsum(weights(law))
    start = float(np.random.Generator(np.random.PCG64([seed, 77])).random())
    places = np.searchsorted(total, (np.arange(CHOSEN) + start) / CHOSEN * total[-1])
    return np.asarray(np.minimum(places, len(total) - 1))


def log_odds(law: Law, chosen: Int64, features: Float64, model: Model) -> Float64:
    """Return the log odds of each sequence in each chosen future, (chosen, sequences).

    Args:
        law: the law.
        chosen: numbers of futures.
        features: of each sequence, with size and tokens as the top proxy's, (sequences, features).
        model: the model that is forecast.
    """
    shift, scale = (values[chosen] for values in beyond(law, model))
    betas = law.betas[law.draw[chosen]]
    at_top = betas[:, :1] + np.einsum("df,sf->ds", betas[:, 1:], features)
    moved = at_top + (shift + law.error * law.noise[chosen])[:, None]
    return np.asarray(scale[:, None] * moved)


def half_doses(law: Law, chosen: Int64, model: Model) -> Float64:
    """Return the dose at which half of typical sequences are recited, of each future, (chosen,)."""
    shift = beyond(law, model)[0][chosen] + law.error * law.noise[chosen]
    draw = law.draw[chosen]
    return np.asarray(np.exp(-(law.typical[draw] + shift) / doses_of(law)[draw]))


def share_at(law: Law, chosen: Int64, model: Model, doses: Float64) -> Float64:
    """Return the share of typical sequences of some doses that is recited, (chosen, doses)."""
    from scipy.special import expit

    shift, scale = (values[chosen] for values in beyond(law, model))
    draw = law.draw[chosen]
    per_fold = doses_of(law)[draw]
    at_one = law.typical[draw] + shift + law.error * law.noise[chosen]
    return np.asarray(expit(scale[:, None] * (at_one[:, None] + per_fold[:, None] * np.log(doses))))
