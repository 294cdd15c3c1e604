"""The forecast: which sequences a target will memorize, how sure that is, and how it was checked.

Two models share one panel. `seen` has features of the largest proxy, for sequences that it was
trained on; `unseen` those of a cross-fit proxy that was not, for all others, and headline figures
are its. Neither is a privacy guarantee: paraphrase, attributes and other prefixes are not looked
at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import read_table, write_table
from pipeline.score.forecast import features
from pipeline.score.forecast.features import ScoredPanel, read_panel
from pipeline.score.forecast.laws import laws
from pipeline.score.forecast.logistic import (
    DRAWS,
    Cases,
    calibration,
    fit,
    forecast,
    judged,
    transfer_error,
)
from pipeline.score.forecast.observed import dose_response, memorized_families, rate
from pipeline.score.forecast.risk_model import risk_model
from pipeline.score.forecast.target import Target, target_of
from pipeline.score.slices import SUFFIX
from pipeline.text.arrays import Flags, Float64
from schemas.scan.counts import COUNTS
from schemas.score.contexts import CONTEXTS
from schemas.score.laws import LAWS
from schemas.score.risk import DOCUMENT_RISK, RISK, RISK_MODEL
from schemas.score.sequences import SEQUENCES

VERSION = 6
LEAST_FAMILIES = 30
LIKELY = 0.5  # risk from which a sequence has a kind
GUESSABLE = 0.5  # probability of a token
RECITED = 6  # occurrences
NOTHING = np.nan
WARNINGS = (
    "A forecast with an error, not a privacy guarantee: only this prefix of a text is looked at.",
    "A dose is taken to mean the same in a larger corpus: dilution is not modelled.",
    "The panel is rich in repeated text: its base rate and precision are not the corpus's.",
    "One training of each proxy: the intervals leave out the noise between trainings.",
)


@dataclass(frozen=True)
class Basis:
    """One of the two models of the forecast, with what it is applied to.

    Attributes:
        name: `seen` or `unseen`.
        names: of the features, in order.
        cases: what it is fitted on.
        features: of all sequences, (sequences, features).
        rows: which sequences it speaks of, (sequences,).
    """

    name: str
    names: tuple[str, ...]
    cases: Cases
    features: Float64
    rows: Flags


def risk(work: Work) -> Receipt:
    """Write `risk`, `document_risk`, `laws` and `risk_model` (a reduce stage).

    The forecast is fitted on the scored sequences and applied to each of them.
    """
    about = json.loads(
        next(path for path in work.paths("models") if path.name == "proxies.json").read_bytes()
    )
    table = read_table(work.paths("sequences"), SEQUENCES)
    curves = pa.table({name: [] for name in LAWS.names}, schema=LAWS)
    trained = any(proxy["role"] == "ladder" for proxy in about["proxies"])
    if table.num_rows and trained:
        panel = read_panel(table, about["proxies"])
        shorter = read_table(work.paths("contexts"), CONTEXTS)
        curves, law_facts = laws(panel, shorter, work.config.proxy.seed)
        target = target_of(work.config.target, panel.top.parameters, about["corpus_tokens"])
        known = _observed(panel, target)
        fitted_bases = bases(panel, target) if known["fitted"] else []
        values, facts = _forecast(panel, target, fitted_bases, work.config.proxy.seed)
        facts = {**known, **facts, "laws": law_facts}
        kinds = _kinds(panel, values[:, 0])
        rows = _rows(table, values, kinds, panel.top.taught, extrapolated=target.extrapolated)
        model = risk_model(table, fitted_bases, target.epochs)
    else:
        model = RISK_MODEL.empty_table()
        values = np.full((table.num_rows, 3), NOTHING)
        none = np.zeros(table.num_rows, np.bool_)
        why = "no family outside the held-out eighth has a text of 64 tokens to train on"
        if about["proxies"] and not trained:
            why = "the proxies were loaded: what they have seen of this corpus is not known"
        facts = {"fitted": False, "why_not": why}
        rows = _rows(table, values, np.full(table.num_rows, None), none, extrapolated=False)
    with write_table(work.folder, "risk", work.key, RISK) as out:
        out.write(rows)
    with write_table(work.folder, "document_risk", work.key, DOCUMENT_RISK) as of_documents:
        of_documents.write(_of_documents(work, table, rows))
    with write_table(work.folder, "laws", work.key, LAWS) as of_laws:
        of_laws.write(curves)
    with write_table(work.folder, "risk_model", work.key, RISK_MODEL) as of_doses:
        of_doses.write(model)
    files = (out.record, of_documents.record, of_laws.record, of_doses.record)
    return Receipt(files, table.num_rows, out.rows, facts)


def _forecast(
    panel: ScoredPanel, target: Target, fitted_bases: Sequence[Basis], seed: int
) -> tuple[Float64, dict[str, Any]]:
    """Return risk, low and high end of each sequence, (sequences, 3), and the facts.

    NaN where there is no forecast.
    """
    values = np.full((len(panel.count), 3), NOTHING)
    facts: dict[str, Any] = {}
    for basis in fitted_bases:
        spread = spread_of(basis.cases, panel, target)
        values[basis.rows] = np.column_stack(
            forecast(basis.cases, basis.features[basis.rows], spread, seed)
        )
        facts |= _about(basis, spread, seed)
    if fitted_bases:
        facts["expected"] = _expected(panel, values)
    return values, facts


def bases(panel: ScoredPanel, target: Target) -> list[Basis]:
    """Return the two models of the forecast: what each is fitted on and applied to."""
    dose = panel.count * target.epochs
    top = panel.top
    size = target.parameters / panel.of_role("half")[0].parameters if panel.of_role("half") else 1.0
    unseen = features.unseen_features(panel, dose, size)
    seen = features.seen_features(panel, top, dose, target.ratio)
    return [
        Basis("unseen", tuple(features.UNSEEN), features.unseen_cases(panel), unseen, ~top.taught),
        Basis("seen", tuple(features.SEEN), features.seen_cases(panel), seen, top.taught),
    ]


def spread_of(cases: Cases, panel: ScoredPanel, target: Target) -> float:
    """Return the transfer error of the step to the target, in logits.

    It grows from the error of the step to the top rung, in proportion to the logs of the ratios of
    sizes.
    """
    sizes = [proxy.parameters for proxy in panel.of_role("ladder")]
    steps = abs(np.log(target.ratio)) / np.log(sizes[-1] / sizes[-2])
    return transfer_error(cases) * max(1.0, float(steps))


def _observed(panel: ScoredPanel, target: Target) -> dict[str, Any]:
    """Return what the proxies show, and whether that is enough to fit a forecast."""
    memorized = memorized_families(panel)
    families = memorized[panel.proxies.index(panel.top)]["families_memorized"]
    why = (
        f"the largest proxy memorized {families} families; "
        f"{LEAST_FAMILIES} are needed to fit a forecast"
    )
    return {
        "fitted": families >= LEAST_FAMILIES,
        "why_not": None if families >= LEAST_FAMILIES else why,
        "target": {
            "parameters": target.parameters,
            "epochs": target.epochs,
            "tokens": target.tokens,
            "times_the_largest_proxy": round(target.ratio, 3),
            "extrapolated": target.extrapolated,
            "assumption": target.assumed,
        },
        "memorized": memorized,
        "memorized_by_count": dose_response(panel),
        "base_rate": rate(panel, panel.top.taught),
        "floor": rate(panel, ~panel.top.taught),
        "warnings": [{"warning": text} for text in WARNINGS],
    }


def _about(basis: Basis, spread: float, seed: int) -> dict[str, Any]:
    """Return the facts of one model: coefficients, held-out quality, calibration."""
    cases = basis.cases
    log_count = cases.features[:, 0]
    slopes = fit(cases).slopes()
    return {
        f"coefficients_{basis.name}": dict(
            zip(basis.names, (round(x, 4) for x in slopes), strict=True)
        ),
        f"held_out_{basis.name}": {
            "validated_on": "the largest proxy, by features of a smaller one, in families left out "
            "of the fit",
            "sequences": int(cases.top.sum()),
            "families": len(np.unique(cases.family[cases.top])),
            "memorized": int(cases.label[cases.top].sum()),
            **judged(cases, log_count, seed),
            "transfer_error_logits": round(spread, 3),
            "bootstrap_draws": DRAWS,
        },
        f"calibration_{basis.name}": calibration(cases),
    }


def _expected(panel: ScoredPanel, values: Float64) -> dict[str, Any]:
    """Return the shares of the corpus's sequences that the forecast expects to be memorized.

    Sequences count by their weight.
    """
    found: dict[str, Any] = {}
    for name, rows in (
        ("all", panel.count > 0),
        ("unseen", ~panel.top.taught),
        ("seen", panel.top.taught),
    ):
        if rows.any():
            share = np.average(values[rows], axis=0, weights=panel.weight[rows])
            found[name] = {
                "sequences": int(rows.sum()),
                "standing_for": round(float(panel.weight[rows].sum())),
                "expected_share": round(float(share[0]), 6),
                "expected_share_95": [round(float(share[1]), 6), round(float(share[2]), 6)],
            }
    return found


def _kinds(panel: ScoredPanel, value: Float64) -> np.ndarray:
    """Return none, reconstructed, recited or recollected; None where there is no forecast.

    The classes of Prashanth et al. 2024: what can be guessed, what is repeated, and the rest.
    """
    outside = features.outside_log_p(panel)
    guessable = np.nan_to_num(outside, nan=-np.inf) / SUFFIX >= np.log(GUESSABLE)
    kinds = np.where(
        guessable, "reconstructed", np.where(panel.count >= RECITED, "recited", "recollected")
    )
    kinds = np.where(value < LIKELY, "none", kinds).astype(object)
    kinds[np.isnan(value)] = None
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
    counts = read_table(work.paths("counts"), COUNTS, ["row_key", "representative"]).sort_by(
        "row_key"
    )
    representative = counts["representative"].to_numpy()
    held = np.isin(representative, keys)
    place = np.searchsorted(keys, representative[held])
    best = rows.take(pa.array(riskiest[place]))
    return pa.table(
        {
            "row_key": counts["row_key"].to_numpy()[held],
            **{name: best[name] for name in ("risk", "risk_low", "risk_high", "kind")},
            "expected_tokens": pa.array(tokens[place], mask=np.isnan(tokens[place])),
            "scored_share": (scored / table["document_sequences"].to_numpy()[first])[place]
            if len(first)
            else np.zeros(0),
        }
    )
