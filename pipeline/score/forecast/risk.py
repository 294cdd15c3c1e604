"""The forecast: which sequences a target will memorize, how sure that is, and how it was checked.

Two models share one panel. `seen` has features of the largest proxy, for sequences that it was
trained on; `unseen` those of a cross-fit proxy that was not, for all others, and headline figures
are its. Both are a law in dose, size and tokens (`scaling`), fitted on plants and on sequences of
the corpus together. Neither is a privacy guarantee: paraphrase, attributes and other prefixes are
not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.engine.group_digests import GROUPS, group_digests
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import read_table, write_table
from pipeline.score.forecast import features
from pipeline.score.forecast.features import ScoredPanel, read_panel
from pipeline.score.forecast.laws import laws
from pipeline.score.forecast.logistic import Cases, calibration, cross_fitted, judged
from pipeline.score.forecast.observed import dose_response, memorized_families, rate
from pipeline.score.forecast.outlook import half_recited, outlook
from pipeline.score.forecast.planned_order import ORDERED, planned_order
from pipeline.score.forecast.risk_model import SLOPES, risk_model
from pipeline.score.forecast.scaling import (
    CHOSEN,
    Law,
    Model,
    beyond,
    drawn_futures,
    fitted_law,
    in_usable_size,
    log_odds,
    prior_of,
)
from pipeline.score.forecast.target import Target, target_of
from pipeline.score.sequences.models import MANIFEST, PROXIES
from pipeline.score.slices import SUFFIX
from pipeline.text.arrays import Flags, Float64, Int64
from schemas.scan.counts import COUNTS
from schemas.score.contexts import CONTEXTS
from schemas.score.laws import LAWS
from schemas.score.plants import PLANTS
from schemas.score.risk import DOCUMENT_RISK, RISK, RISK_MODEL
from schemas.score.sequences import SEQUENCES

VERSION = 13
LEAST_CLUSTERS = 3  # of plants or families that the largest proxy memorized
TAUGHT_LITTLE = (
    "it was trained on too little text (proxy.sample_tokens) or in too few steps (proxy.epochs)"
)
LOADED_RECITES = "the loaded models recite too little of this corpus to tell at which dose they do"
WHEN = ("last_exposure", "spacing")  # no rule reads them: a filter does not follow from them
OF_SEQUENCE = ("risk", "risk_low", "risk_high", "extrapolated", "kind")  # of a document's riskiest
LIKELY = 0.5  # risk from which a sequence has a kind
GUESSABLE = 0.5  # probability of a token
RECITED = 6  # occurrences
ROWS = 4_096  # sequences forecast at a time: 256 futures of them are 8 MB
NOTHING = np.nan
LEAST = 1e-9  # probability
WARNINGS = (
    "A forecast with an error, not a privacy guarantee: only this prefix of a text is looked at.",
    "The panel is rich in repeated text: its base rate and precision are not the corpus's.",
    "Plants are exact copies at random places: edited or crowded ones are remembered otherwise.",
    "One training of each proxy: how far trainings differ is estimated from the sizes.",
)


@dataclass(frozen=True)
class Basis:
    """One of the two models of the forecast, with what it is applied to.

    Attributes:
        name: `seen` or `unseen`.
        names: of the features, in order.
        cases: what it is fitted on.
        features: of all sequences at the target's epochs, size and tokens as the top proxy's,
            (sequences, features).
        rows: which sequences it speaks of, (sequences,).
    """

    name: str
    names: tuple[str, ...]
    cases: Cases
    features: Float64
    rows: Flags


@dataclass(frozen=True)
class Forecast:
    """What is forecast of each sequence; NaN where there is no forecast.

    Attributes:
        logit: log odds, (sequences,).
        low: log odds of the low end of the 95% interval, (sequences,).
        high: likewise, (sequences,).
        slopes: log odds per unit of log dose, as in `risk_model`, (sequences, 3).
    """

    logit: Float64
    low: Float64
    high: Float64
    slopes: Float64

    @property
    def risk(self) -> Float64:
        """Risk and both ends of its interval, (sequences, 3)."""
        from scipy.special import expit

        return np.asarray(expit(np.column_stack((self.logit, self.low, self.high))))


def risk(work: Work) -> Receipt:
    """Write `risk`, `document_risk`, `laws` and `risk_model` (a reduce stage).

    The forecast is fitted on the scored sequences and plants and applied to each sequence.
    """
    about, taught_families = _told(work)
    table = read_table(work.paths("sequences"), SEQUENCES)
    curves = pa.table({name: [] for name in LAWS.names}, schema=LAWS)
    model = RISK_MODEL.empty_table()
    values = np.full((table.num_rows, 3), NOTHING)
    kinds, taught = np.full(table.num_rows, None), np.zeros(table.num_rows, np.bool_)
    extrapolated = False
    why = _why_not(about, table.num_rows)
    facts: dict[str, Any] = {"fitted": False, "why_not": why}
    if not why:
        panel = read_panel(table, about["proxies"], read_table(work.paths("plants"), PLANTS))
        shorter = read_table(work.paths("contexts"), CONTEXTS)
        curves, law_facts = laws(panel, shorter, work.config.proxy.seed)
        top = Model(panel.top.parameters, panel.top.tokens)
        target = target_of(work.config.target, top)
        extrapolated, taught = target.extrapolated, panel.top.taught[: table.num_rows]
        apart = np.ones(len(panel.count), np.bool_)
        apart[: table.num_rows] = ~np.isin(table["family"].to_pylist(), taught_families)
        found, facts = forecast_of(panel, target, work.config.proxy.seed, apart)
        facts |= {"laws": law_facts, **({"kept": about["kept"]} if "kept" in about else {})}
        natural = slice(table.num_rows)
        values = found.risk[natural]
        kinds = _kinds(panel, found.risk[:, 0], likely=not extrapolated)[natural]
        model = risk_model(table, found.logit[natural], found.slopes[natural], target.epochs)
    rows = _rows(table, values, kinds, taught, extrapolated=extrapolated)
    with write_table(work.folder, "risk", work.key, RISK) as out:
        out.write(rows)
    with write_table(work.folder, "document_risk", work.key, DOCUMENT_RISK) as of_documents:
        documents = _of_documents(work, table, rows)
        of_documents.write(documents)
    with write_table(work.folder, "laws", work.key, LAWS) as of_laws:
        of_laws.write(curves)
    with write_table(work.folder, "risk_model", work.key, RISK_MODEL) as of_doses:
        of_doses.write(model)
    files = (out.record, of_documents.record, of_laws.record, of_doses.record)
    facts[GROUPS] = group_digests(work.shards, [documents.drop_columns(list(WHEN))])
    return Receipt(files, table.num_rows, out.rows, facts)


def _told(work: Work) -> tuple[dict[str, Any], list[str]]:
    """Return what is told of the proxies, and the families that hold text that they were taught."""
    files = {path.name: path for path in work.paths("models")}
    about = json.loads(files[PROXIES].read_bytes())
    return about, list(json.loads(files[MANIFEST].read_bytes())["half_of_family"])


def _why_not(about: dict[str, Any], sequences: int) -> str | None:
    """Return why nothing can be forecast, or None."""
    if about["proxies"] and not any(proxy["role"] == "ladder" for proxy in about["proxies"]):
        return (
            "the proxies were loaded: what they have seen of this corpus is not known "
            "(proxy.trained_on = corpus declares that it was all of it)"
        )
    if not about["proxies"] or not sequences:
        return "no family outside the held-out eighth has a text of 64 tokens to train on"
    return None


def forecast_of(
    panel: ScoredPanel, target: Target, seed: int, apart: Flags
) -> tuple[Forecast, dict[str, Any]]:
    """Return the forecast of each sequence, plants included, and the facts of the stage.

    Args:
        panel: the scored sequences.
        target: the model that is forecast.
        seed: of all draws.
        apart: whether the family of each holds no text that a proxy was taught, (sequences,).
    """
    facts = _observed(panel, target, apart)
    found = _no_forecast(len(panel.count))
    if not facts["fitted"]:
        return found, facts
    top = Model(panel.top.parameters, panel.top.tokens)
    for basis in bases(panel, target.epochs):
        law = law_of(basis, panel, seed)
        chosen = drawn_futures(law, seed)
        for rows in _blocks(np.flatnonzero(basis.rows)):
            part = applied(law, chosen, basis.features[rows], target.model)
            found.logit[rows], found.low[rows], found.high[rows] = part[:, :3].T
            found.slopes[rows] = part[:, 3:]
        facts |= _about(basis, law, seed)
        if basis.name == "unseen":
            at_one = features.unseen_features(panel, panel.count, *_size(top))
            facts["outlook"] = outlook(law, chosen, panel, at_one)
            facts["target"] |= half_recited(law, chosen, target.model, epochs=target.epochs)
    facts["expected"] = _expected(panel, found.risk, target)
    return found, facts


def bases(panel: ScoredPanel, epochs: float) -> list[Basis]:
    """Return the two models of the forecast: what each is fitted on and applied to.

    One alone where no two proxies differ in size, as with one loaded model or checkpoints of one:
    nothing is known then of what a smaller one shows of a larger one.
    """
    dose = panel.count * epochs
    top = panel.top
    unseen = features.unseen_features(panel, dose, top.parameters, top.tokens)
    seen = features.seen_features(panel, top, dose, top.parameters, top.tokens)
    taught, cases, pairs = top.taught, features.unseen_cases(panel), features.seen_cases(panel)
    if not len(pairs.label):
        every = np.ones(len(taught), np.bool_)
        return [Basis("unseen", features.UNSEEN, cases, unseen, every)]
    return [
        Basis("unseen", features.UNSEEN, cases, unseen, ~taught),
        Basis("seen", features.SEEN, pairs, seen, taught),
    ]


def law_of(basis: Basis, panel: ScoredPanel, seed: int) -> Law:
    """Return the law of one of the two models.

    Args:
        basis: the model.
        panel: the scored sequences.
        seed: of the draws.
    """
    once = panel.natural & basis.rows & (panel.count == 1)
    rows = once if once.any() else basis.rows
    typical = basis.features[rows].mean(axis=0) if rows.any() else np.zeros(len(basis.names))
    typical[: len(features.DOSES)] = 0.0
    top = Model(panel.top.parameters, panel.top.tokens)
    return fitted_law(basis.names, basis.cases, typical, top, seed)


def _size(top: Model) -> tuple[float, float]:
    return top.parameters, top.tokens


def _no_forecast(sequences: int) -> Forecast:
    logit, low, high = (np.full(sequences, NOTHING) for _ in range(3))
    return Forecast(logit, low, high, np.zeros((sequences, len(SLOPES))))


def _blocks(rows: Int64) -> Iterator[Int64]:
    """Yield rows, some at a time."""
    for start in range(0, len(rows), ROWS):
        yield rows[start : start + ROWS]


def applied(law: Law, chosen: Int64, inputs: Float64, model: Model) -> Float64:
    """Return log odds, ends of their interval and slopes of each sequence, (sequences, 6).

    A risk is the mean probability over the futures. Its slopes are the derivatives of its log odds
    by the log doses, so that a filter can follow it without the futures.

    Args:
        law: the law.
        chosen: numbers of futures.
        inputs: features of each sequence, as in `Basis`, (sequences, features).
        model: the model that is forecast.
    """
    from scipy.special import expit, logit

    drawn = log_odds(law, chosen, inputs, model)
    chance = expit(drawn)
    mean = chance.mean(axis=0).clip(LEAST, 1.0 - LEAST)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    centre = logit(mean)
    steep = chance * (1.0 - chance) / (len(chosen) * mean * (1.0 - mean))  # (chosen, sequences)
    scale = beyond(law, model)[1][chosen]
    dose = [1 + law.names.index(name) for name in features.DOSES]
    each = np.einsum("ds,dk->sk", steep, scale[:, None] * law.betas[law.draw[chosen]][:, dose])
    slopes = np.column_stack((each[:, 0], each[:, 1], each[:, 2] + each[:, 3]))
    return np.column_stack((centre, np.minimum(low, centre), np.maximum(high, centre), slopes))


def _observed(panel: ScoredPanel, target: Target, apart: Flags) -> dict[str, Any]:
    """Return what the proxies show, and whether that is enough to fit a forecast.

    The floor is of families that no proxy was taught any text of: the rest of one of which some
    was, such as what has joined it since, may be near what they saw.
    """
    memorized = memorized_families(panel)
    of_top = memorized[panel.proxies.index(panel.top)]
    families, planted = of_top["families_memorized"], of_top["plants_memorized"]
    enough = families + planted >= LEAST_CLUSTERS
    why = (
        f"the largest proxy memorized {families} families and {planted} plants, fewer than "
        f"{LEAST_CLUSTERS} in all: {TAUGHT_LITTLE if panel.of_role('half') else LOADED_RECITES}"
    )
    return {
        "fitted": enough,
        "why_not": None if enough else why,
        "plants_memorized": planted,
        "target": {
            "parameters": target.parameters,
            "epochs": target.epochs,
            "tokens": target.tokens,
            "times_the_largest_proxy": round(target.ratio, 3),
            "times_the_tokens_of_the_proxies": round(target.tokens_ratio, 3),
            "extrapolated": target.extrapolated,
            "assumption": target.assumed,
        },
        "memorized": memorized,
        "memorized_by_count": dose_response(panel),
        "base_rate": rate(panel, panel.natural & panel.top.taught),
        "floor": rate(panel, ~panel.top.taught & apart),
        "warnings": [{"warning": text} for text in WARNINGS],
    }


def _about(basis: Basis, law: Law, seed: int) -> dict[str, Any]:
    """Return the facts of one model: coefficients, held-out quality, calibration.

    Quality is judged on sequences of the corpus where there are any, not on plants.
    """
    cases = in_usable_size(basis.cases, basis.names, law.top, law.likeliest)
    slopes = zip(basis.names, law.central.slopes(), strict=True)
    facts: dict[str, Any] = {
        f"coefficients_{basis.name}": {name: round(slope, 4) for name, slope in slopes}
    }
    natural = cases.features[:, basis.names.index("planted")] == 0
    own = Cases(cases.features, cases.label, cases.family, cases.rung, cases.top & natural)
    held_out = own if own.label[own.top].any() else cases
    if not held_out.label[held_out.top].any():
        return facts
    predicted = cross_fitted(cases, prior_of(basis.names))
    facts[f"held_out_{basis.name}"] = {
        "validated_on": "the largest proxy, in families left out of the fit; "
        + ("sequences of the corpus" if held_out is own else "plants and sequences of the corpus"),
        "sequences": int(held_out.top.sum()),
        "families": len(np.unique(cases.family[held_out.top])),
        "memorized": int(cases.label[held_out.top].sum()),
        **judged(held_out, predicted, cases.features[:, 0], seed),
        "error_between_trainings_logits": round(law.error, 3),
        "futures": CHOSEN,
    }
    facts[f"calibration_{basis.name}"] = calibration(held_out, predicted)
    return facts


def _expected(panel: ScoredPanel, values: Float64, target: Target) -> dict[str, Any]:
    """Return the shares of the corpus's sequences that the forecast expects to be memorized.

    Sequences count by their weight. Beyond ten times the ladder there is no single share.
    """
    found: dict[str, Any] = {}
    taught = panel.top.taught
    for name, rows in (
        ("all", panel.natural),
        ("unseen", panel.natural & ~taught),
        ("unseen that occur once", panel.natural & ~taught & (panel.count == 1)),
        ("seen", panel.natural & taught),
    ):
        if rows.any():
            share = np.average(values[rows], axis=0, weights=panel.weight[rows])
            found[name] = {
                "sequences": int(rows.sum()),
                "standing_for": round(float(panel.weight[rows].sum())),
                "expected_share": None if target.extrapolated else round(float(share[0]), 6),
                "expected_share_95": [round(float(share[1]), 6), round(float(share[2]), 6)],
            }
    return found


def _kinds(panel: ScoredPanel, value: Float64, *, likely: bool) -> np.ndarray:
    """Return none, reconstructed, recited or recollected; None where there is no forecast.

    None also where the forecast is an order and no probability, so not `likely`.

    The classes of Prashanth et al. 2024: what can be guessed, what is repeated, and the rest.
    """
    outside = features.outside_log_p(panel)
    guessable = np.nan_to_num(outside, nan=-np.inf) / SUFFIX >= np.log(GUESSABLE)
    kinds = np.where(
        guessable, "reconstructed", np.where(panel.count >= RECITED, "recited", "recollected")
    )
    kinds = np.where(value < LIKELY, "none", kinds).astype(object)
    kinds[np.isnan(value) | (not likely)] = None
    return kinds


def _rows(
    table: pa.Table, values: Float64, kinds: np.ndarray, taught: Flags, *, extrapolated: bool
) -> pa.Table:
    """Return the rows of `risk`."""
    numbers = {
        name: pa.array(values[:, place], pa.float64(), mask=np.isnan(values[:, place]))
        for place, name in enumerate(("risk", "risk_low", "risk_high"))
    }
    return pa.table(
        {
            **{name: table[name] for name in ("row_key", "start_byte", "end_byte")},
            **numbers,
            "basis": pa.array(np.where(taught, "seen", "unseen").astype(object), pa.string()),
            "extrapolated": pa.array(np.full(table.num_rows, extrapolated)),
            "kind": pa.array(kinds, pa.string()),
        }
    )


def _of_documents(work: Work, table: pa.Table, rows: pa.Table) -> pa.Table:
    """Return one row per document whose text has a scored sequence, exact copies included.

    The sequence of highest risk stands for it; among equals the first.
    """
    keys, first, scored = np.unique(
        rows["row_key"].to_numpy(), return_index=True, return_counts=True
    )
    value = rows["risk"].to_numpy()
    riskiest = np.array(
        [
            start + int(np.argmax(np.nan_to_num(value[start : start + count], nan=-1.0)))
            for start, count in zip(first.tolist(), scored.tolist(), strict=True)
        ],
        np.int64,
    )
    tokens = np.add.reduceat(value, first) * SUFFIX if len(first) else np.zeros(0)
    counts = read_table(work.paths("counts"), COUNTS, ORDERED).sort_by("row_key")
    when = np.full((2, counts.num_rows), NOTHING)
    if work.config.target.order == "files":
        when = np.stack(planned_order(counts))
    representative = counts["representative"].to_numpy()
    held = np.isin(representative, keys)
    place = np.searchsorted(keys, representative[held])
    best = rows.take(pa.array(riskiest[place]))
    return pa.table(
        {
            "row_key": counts["row_key"].to_numpy()[held],
            **{name: best[name] for name in OF_SEQUENCE},
            "expected_tokens": pa.array(tokens[place], mask=np.isnan(tokens[place])),
            "scored_share": (scored / table["document_sequences"].to_numpy()[first])[place]
            if len(first)
            else np.zeros(0),
            **{
                name: pa.array(value[held], mask=np.isnan(value[held]))
                for name, value in zip(WHEN, when, strict=True)
            },
        }
    )
