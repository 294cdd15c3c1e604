"""Tell which thresholds or rules would have decided otherwise about a row."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.inspect.explanation import Explanation
from pipeline.report.html.phrases import number
from pipeline.report.quotes.quotes import label

GROUPING = frozenset({"drop-copies", "keep-n"})  # the rules that read near.threshold
DROP_RISK = "drop-risk"
ORDER = (
    "Its risk is a place in an order and no probability, since the target is over ten times the "
    "proxies"
)
OF_SOURCE = ("source", "source_group", "split")  # what policy.sources and exempt name, in order


def otherwise(one: Explanation) -> list[str]:
    """Return the thresholds or rules that would have decided otherwise."""
    if one.decision is None:
        return []
    return _to_stay(one) if one.decision["action"] == "drop" else _to_go(one)


def _to_stay(one: Explanation) -> list[str]:
    """Return what would have kept a removed row."""
    decision, keeper = one.decision or {}, one.keeper
    if keeper is not None and one.row["representative"] == keeper["representative"]:
        line = (
            f"No threshold keeps both: the bytes are the same. Without the rule {decision['rule']} "
            "it would stay, or with near.keep, near.sources or a priority that prefers it."
        )
        return [line]
    if keeper is not None and decision["score"] is not None:
        return [_apart(one, decision)]
    if decision["reason"] == "risk":
        return [_less_risky(one, decision)]
    if decision["reason"] == "held":
        return ["It would stay without minus.run, or, if no exact copy, with a higher threshold."]
    if decision["reason"] == "personal":
        return ["It would stay with a higher policy.personal, or with fewer of personal.kinds."]
    if decision["reason"] == "contaminated":
        return ["It would stay without its item in decontaminate.files, or with stricter rules."]
    return [f"It would stay without the rule {decision['rule']}."]


def _apart(one: Explanation, decision: Row) -> str:
    """Return the thresholds at which a row has no longer text that stays for it.

    Its exact copies are none of the longer one either then, and one of them stays.
    """
    near, copies = one.config.near, one.row["exact_count"]
    reaching = [
        pair["jaccard"]
        for pair in one.near
        if pair["jaccard"] >= near.threshold and not both_stay(one, pair)
    ]
    if decision["method"] == "contained":
        settings = [f"near.containment above {_up(decision['score'])}, or 0 (off)"]
    else:
        settings = ["near.containment at 0 (off)"] if near.containment else []
        reaching.append(decision["score"])
    if reaching and max(reaching) >= 1:
        return (
            "No threshold keeps both: they have the same shingles. It would stay without the rule "
            f"{decision['rule']}."
        )
    if reaching:
        settings.insert(0, f"near.threshold above {_up(max(reaching))}")
    changed = " and ".join(settings)
    if copies == 1:
        return f"It would stay with {changed}."
    return (
        f"With {changed} only one of the {number(copies, 'exact copy', 'exact copies')} of this "
        "text would stay; no threshold keeps two."
    )


def _less_risky(one: Explanation, decision: Row) -> str:
    """Return what would keep a row that the rule drop-risk has taken."""
    policy, risk, setting = one.config.policy, decision["risk_after"], _risk_setting(one)
    copy = decision["method"] is not None
    if copy and "drop-copies" in policy.rules[: policy.rules.index(DROP_RISK)]:
        return "It goes with the row that it is a copy of, which the rule drop-risk takes."
    if setting is not None and _is_order(one):
        less = "a smaller policy.risk_share" if policy.risk_share else f"a higher {setting}"
        return f"{ORDER}: it would stay with {less}, or without the rule drop-risk."
    if setting is None or risk is None or float(_up(risk)) >= 1:
        return "It would stay without the rule drop-risk."
    share = " and policy.risk_share at 0" if policy.risk_share else ""
    both = ", if the row that it is a copy of stays too" if copy else ""
    return f"It would stay with {setting} above {_up(risk)}{share}{both}."


def _to_go(one: Explanation) -> list[str]:
    """Return what would have removed or cut a kept row."""
    lines = []
    policy, threshold = one.config.policy, one.config.near.threshold
    below = [pair for pair in one.near if pair["jaccard"] < threshold]
    if below and GROUPING & set(policy.rules):
        lines.append(
            f"With near.threshold at {_down(below[0]['jaccard'])} or below, it or "
            f"{label(below[0]['doc_id'])} would go."
        )
    if one.row["exact_count"] > 1 and not policy.rules:
        lines.append("With the rule drop-copies one of its exact copies stays, the others go.")
    lines += _risky(one)
    if one.row["repeated_words"]:
        lines.append(
            f"The rule cut-spans cuts of its {one.row['repeated_words']:,} repeated words those "
            "that a kept row before it has."
        )
    return lines or ["No threshold takes it."]


def _risky(one: Explanation) -> list[str]:
    """Return the threshold at which the rule drop-risk takes a kept row, where that is known.

    The rule judges the risk at the doses that the rules before it leave, which is known only where
    the run has the rule. Of other runs the risk as scanned is known: what it judges as the first.
    """
    config, decision = one.config, one.decision or {}
    policy, setting = config.policy, _risk_setting(one)
    if setting is None or decision["rule"] == "restore":
        return []
    if DROP_RISK in policy.rules:
        risk, which = decision["risk_after"], "drop-risk"
        hindered = decision["rows_standing_for"] and (policy.exempt or policy.sources)
        if hindered or _taken(one, risk):  # a row that may not go holds it
            return []
    else:
        risk = one.risk["risk"] if one.risk else None
        which = "drop-risk, as the first of policy.rules,"
        if config.minus.run or config.decontaminate.files:  # these take rows before any rule
            return []
    if risk is not None and _is_order(one):
        return [f"{ORDER}: the rule {which} takes it with a policy.risk_share that reaches it."]
    if risk is None or float(_down(risk)) == 0:
        return []
    return [f"The rule {which} takes it with {setting} at {_down(risk)} or below."]


def _is_order(one: Explanation) -> bool:
    """Return whether a row's risk is an order: its number means nothing as a threshold."""
    return bool(one.risk and one.risk.get("extrapolated"))


def _taken(one: Explanation, risk: float | None) -> bool:
    """Return whether a risk is at or above the threshold of a row's source."""
    policy = one.config.policy
    own = [policy.sources[name].risk for name in _sources(one) if name in policy.sources]
    threshold = next((value for value in own if value is not None), policy.risk)
    return risk is not None and 0 < threshold <= risk


def _risk_setting(one: Explanation) -> str | None:
    """Return the setting with the risk threshold of a row; None where drop-risk may not take it."""
    policy = one.config.policy
    names = _sources(one)
    own = [name for name in names if name in policy.sources]
    rules = [policy.sources[name].rules for name in own]
    allowed = next((value for value in rules if value is not None), None)
    if set(names) & set(policy.exempt) or (allowed is not None and DROP_RISK not in allowed):
        return None
    named = [name for name in own if policy.sources[name].risk is not None]
    return f"policy.sources.{named[0]}.risk" if named else "policy.risk"


def _sources(one: Explanation) -> list[str]:
    """Return the names by which the policy may mean a row's source, the first that counts first."""
    return [one.row[column] for column in OF_SOURCE if one.row[column] is not None]


def _up(value: float) -> str:
    """Return four digits of a number that are not below it."""
    shown = round(value, 4)
    return f"{shown if shown >= value else shown + 1e-4:.4f}"


def _down(value: float) -> str:
    """Return four digits of a number that are not above it."""
    shown = round(value, 4)
    return f"{shown if shown <= value else shown - 1e-4:.4f}"


def both_stay(one: Explanation, pair: Row) -> str:
    """Return why a pair that reaches the threshold is no near copy; empty where it is one."""
    near = one.config.near
    if pair["jaccard"] < near.threshold:
        return ""
    if are_short(one, pair) and pair["symbols"] != one.row["symbols"]:
        return (
            f"; no near copy, because short texts must agree in their symbols too: "
            f"{symbols(one.row)} here, {symbols(pair)} there (near.symbol_words = "
            f"{near.symbol_words})"
        )
    if pair["split"] != one.row["split"] and not near.across_splits:
        return f"; it is in the split {pair['split']}, so neither goes (near.across_splits)"
    return ""


def are_short(one: Explanation, other: Row) -> bool:
    """Tell whether a row and another one are both compared by their symbols."""
    return bool(max(one.row["words"], other["words"]) < one.config.near.symbol_words)


def symbols(row: Row) -> str:
    """Return the symbols of a text, for a sentence."""
    return label(row["symbols"], 40) if row["symbols"] else "none"
