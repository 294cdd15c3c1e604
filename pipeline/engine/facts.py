"""A check that the facts of a stage have the form that whoever reads them relies on."""

from __future__ import annotations

import math
from typing import Any

from schemas.facts import ALWAYS, COUNT, FACTS, FLAG, NUMBER, SHARE, WORDS

DEEP = 8
"""Levels of values within values that facts have at most."""
FAR = 2**63
"""Whole numbers of facts are below this, whichever their sign: they become floats."""
_FORMS = {
    COUNT: "a count",
    NUMBER: "a number",
    SHARE: "a share",
    WORDS: "a text",
    FLAG: "true or false",
}


def fault_of_facts(stage: str, facts: dict[str, Any]) -> str:
    """Return what is wrong with the facts of a stage, with its place; empty for nothing.

    Facts that are not there at all were never recorded, which readers know.

    Args:
        stage: its name.
        facts: what the manifest has.
    """
    return _fault(facts, ALWAYS | FACTS.get(stage, {}), "facts") if facts else ""


def _fault(value: object, form: Any, place: str) -> str:  # noqa: ANN401 - a form is any of these
    """Return how a value departs from a form; empty where it does not."""
    if isinstance(form, tuple):
        nothing = value is None or _is_no_number(value)  # which a report shows as nothing
        return "" if nothing else _fault(value, form[0], place)
    if isinstance(form, list):
        return _fault_of_list(value, form, place)
    if isinstance(form, dict):
        return _fault_of_names(value, form, place)
    return "" if _is_of(value, form) else f"{place}: {_kind(value)} instead of {_FORMS[form]}"


def _is_of(value: object, form: str) -> bool:
    if form in (WORDS, FLAG):
        return isinstance(value, str if form == WORDS else bool)
    if isinstance(value, bool) or not isinstance(value, int | float) or _is_no_number(value):
        return False
    if form == COUNT:
        return isinstance(value, int) and 0 <= value < FAR
    return 0 <= value <= 1 if form == SHARE else isinstance(value, float) or -FAR < value < FAR


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _fault_of_list(value: object, form: list[Any], place: str) -> str:
    if not isinstance(value, list):
        return f"{place}: {_kind(value)} instead of a list"
    if len(form) > 1 and len(value) != len(form):
        return f"{place}: {len(value)} values instead of {len(form)}"
    forms = zip(value, form if len(form) > 1 else form * len(value), strict=True)
    faults = (_fault(one, own, f"{place}.{n}") for n, (one, own) in enumerate(forms))
    return next(filter(None, faults), "")


def _fault_of_names(value: object, form: dict[str, Any], place: str) -> str:
    if not isinstance(value, dict):
        return f"{place}: {_kind(value)} instead of facts by name"
    known = {name.removesuffix("?"): own for name, own in form.items() if name != "*"}
    missing = [name for name in form if name not in value and name[-1] not in "?*"]
    if missing:
        return f"{place}: no {missing[0]}"
    for name, one in value.items():
        at = f"{place}.{name[:40]}"
        own = known.get(name, form.get("*"))
        fault = _fault_of_plain(one, at) if own is None else _fault(one, own, at)
        if fault:
            return fault
    return ""


def _fault_of_plain(value: object, place: str, deep: int = 0) -> str:
    """Return what is wrong with a value that is only shown: it must be one that can be."""
    if deep > DEEP:
        return f"{place}: values within values within values"
    if isinstance(value, dict | list):
        named = value.items() if isinstance(value, dict) else enumerate(value)
        faults = (_fault_of_plain(one, f"{place}.{str(n)[:40]}", deep + 1) for n, one in named)
        return next(filter(None, faults), "")
    odd = _is_no_number(value) or (isinstance(value, int) and not -FAR < value < FAR)
    return f"{place}: a number that is none, or far too large" if odd else ""


def _kind(value: object) -> str:
    """Return what a value of JSON is, in words that do not quote it."""
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    kinds |= {list: "a list", dict: "facts by name", type(None): "nothing"}
    return kinds[type(value)]
