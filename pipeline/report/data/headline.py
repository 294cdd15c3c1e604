"""The forecast in a sentence, as the terminal, the alarms, summary.md and the page have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.engine.tables import Row

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_LOADED = (
    "proxy.trained_on = corpus, if that is what the models were trained on, or proxies that are "
    "trained here: score again without proxy.models"
)
_DECLARED = (
    "larger models of that family or later checkpoints, proxy.trained_on = unknown if this corpus "
    "is not what they were trained on, or proxies that are trained here: score again without "
    "proxy.models"
)
_TOO_LITTLE = "more proxy.sample_tokens or proxy.epochs let the proxies remember more"
_NO_TEXT = "more documents of at least 64 tokens, in families of their own"


def forecast_facts(manifest: Mapping[str, Any]) -> tuple[Row, Row]:
    """Return the facts of the stages `risk` and `sequences`; empty for a run never scored."""
    outputs = manifest.get("outputs", {})
    risk, sequences = (outputs.get(f"{name}/all", {}) for name in ("risk", "sequences"))
    return dict(risk.get("facts", {})), dict(sequences.get("facts", {}))


def no_forecast(risk: Row, sequences: Row) -> str:
    """Return why a scored run has no forecast and what would help; empty where it has one.

    Args:
        risk: the facts of the stage `risk`.
        sequences: those of the stage `sequences`.
    """
    if risk.get("fitted") is not False:
        return ""
    loaded = [proxy for proxy in sequences.get("proxies", []) if proxy.get("source")]
    if loaded:
        help_ = _DECLARED if any(proxy.get("role") == "ladder" for proxy in loaded) else _LOADED
    else:
        help_ = _TOO_LITTLE if risk.get("memorized") else _NO_TEXT
    why = risk.get("why_not") or "too little was memorized to fit one"
    return f"There is no forecast: {why}. What would help: {help_}."


def is_order(risk: Row) -> bool:
    """Tell whether the target is so far beyond the proxies that risks are an order and a band.

    Args:
        risk: the facts of the stage `risk`.
    """
    target = risk.get("target")
    return isinstance(target, Mapping) and bool(target.get("extrapolated"))


def ordered(data: Row) -> bool:
    """Tell whether a report's risks are an order: then no amount that rests on them is shown.

    Args:
        data: the data of report.json.
    """
    return bool(data.get("risk")) and is_order(data["risk"]["model"])


def headline(settings: Mapping[str, Any], risk: Row) -> str:
    """Return what the target would recite, as a sentence without its full stop; empty without any.

    Args:
        settings: those of `target`.
        risk: the facts of the stage `risk`.
    """
    expected = (risk.get("expected") or {}).get("all")
    target = risk.get("target")
    if not isinstance(expected, Mapping) or not isinstance(target, Mapping):
        return ""
    ends = expected.get("expected_share_95")
    if not ends:
        return ""
    known = _of_outlook(settings, risk)
    band = f"{share(ends[0])} to {share(ends[1])}"
    one = expected.get("expected_share")
    amount = band if one is None or is_order(risk) else f"{share(one)} ({band})"
    text = f"{_model(settings, target, known)} recites {amount} of the sequences"
    if target.keys() >= {"half_dose", "half_dose_95"}:
        text += f", half of those that occur {half_dose(target)} times"
    return f"{text}; over ten times the proxies: order and band only" if is_order(risk) else text


def kept_proxies(risk: Row) -> str:
    """Return that a forecast is by proxies of an earlier corpus; empty where it is not.

    Args:
        risk: the facts of the stage `risk`.
    """
    kept = risk.get("kept")
    if not isinstance(kept, Mapping):
        return ""
    ago = "1 scoring ago" if kept["scorings"] == 1 else f"{kept['scorings']} scorings ago"
    return (
        f"The proxies were trained {ago}, on the corpus as it was then: "
        f"{share(kept['share_changed'])} of their sample is gone or would be other text now. "
        "Above the share proxy.retrain_above they are trained anew, and with "
        "--set proxy.retrain_above=0 by the next scoring."
    )


def _of_outlook(settings: Mapping[str, Any], risk: Row) -> Row:
    """Return the model of the outlook that is the target; empty where none is."""
    target, models = risk["target"], (risk.get("outlook") or {}).get("models", [])
    same = (
        row
        for row in models
        if row["tokens"] == target.get("tokens")
        and settings.get("total_parameters") in (0, None, row["parameters_in_all"])
        and not settings.get("parameters")
        and target.get("epochs") == 1
    )
    return next(same, {})


def _model(settings: Mapping[str, Any], target: Mapping[str, Any], known: Row) -> str:
    """Return size and tokens of the target in words."""
    total = settings.get("total_parameters") or known.get("parameters_in_all")
    size = (
        f"{short(total)} parameters"
        if total
        else f"{short(target['parameters'])} parameters without embeddings"
    )
    return f"a model of {size} and {short(target['tokens'])} tokens"


def half_dose(row: Mapping[str, Any]) -> str:
    """Return the occurrences at which half is recited, with the ends of the interval."""
    low, high = row["half_dose_95"]
    return f"{times(row['half_dose'])} [{times(low)}, {times(high)}]"


def diluted(outlook: Mapping[str, Any]) -> str:
    """Return why half doses grow with the models of an outlook; empty where they do not."""
    halves = [row["half_dose"] for row in outlook["models"]]
    if None in halves or halves[-1] <= halves[0]:
        return ""
    return (
        "A larger model needs more occurrences here because its training is longer: this corpus is "
        "a smaller part of it, and every occurrence counts for less. "
    )


def times(count: float | None) -> str:
    """Return a number of times that is an estimate; a report has none for one beyond all bounds."""
    if count is None or count >= 1e6:
        return "over 1M"
    if count < 1:
        return "under 1"
    return f"{count:,.0f}"


def short(count: float) -> str:
    """Return a large number with a unit, as people say sizes of models."""
    for worth, unit in _UNITS:
        if count >= worth:
            return f"{count / worth:.3g}{unit}"
    return f"{count:,.0f}"


def share(value: float) -> str:
    """Return a share in per cent with two digits that count."""
    percent = 100 * value
    return f"{percent:.0f}%" if percent >= 10 or percent == 0 else f"{percent:.2g}%"
