"""The one sentence that a check of canaries ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SURE = 0.01  # p of a fair coin


def verdict(found: Mapping[str, Any]) -> str:
    """Return what the answers show, in one sentence.

    Args:
        found: extraction, recognition, preferred, calibration and the forecast.
    """
    inside, outside = (_sum(found["extraction"], inside=side) for side in (True, False))
    if inside is None and found["preferred"] is None:
        return "Nothing can be said: no canary inside has an answer."
    traced = _traced(found, inside)
    parts = [_learnt(found, inside, traced=traced), _held(found, traced=traced), _twins(outside)]
    return "; ".join(part for part in parts if part) + "."


def _traced(found: Mapping[str, Any], inside: tuple[int, int] | None) -> bool:
    """Tell whether the model shows that it was trained on the canaries."""
    of_pairs = found["preferred"]
    return bool(inside and inside[0]) or (of_pairs is not None and of_pairs["p"] < SURE)


def _sum(rows: Sequence[Mapping[str, Any]], *, inside: bool) -> tuple[int, int] | None:
    """Return how many are recited of how many; None without an answer."""
    own = [row for row in rows if (row["dose"] > 0) == inside]
    if not own:
        return None
    return sum(row["recited"] for row in own), sum(row["canaries"] for row in own)


def _learnt(found: Mapping[str, Any], inside: tuple[int, int] | None, *, traced: bool) -> str:
    """Return what the model shows of the canaries."""
    of_pairs, told = found["preferred"], []
    if inside:
        told.append(f"recites {inside[0]:,} of {inside[1]:,} canaries")
    if of_pairs is not None:
        told.append(
            f"prefers the canary to its twin in {of_pairs['inside_more_probable']:,} of "
            f"{of_pairs['pairs']:,} pairs (p {of_pairs['p']:.2g})"
        )
    start = "The model was trained on the canaries" if traced else "No trace of the canaries"
    return f"{start}: it {' and '.join(told)}"


def _held(found: Mapping[str, Any], *, traced: bool) -> str:
    """Return whether the forecast held."""
    of, forecast = found["calibration"], found["forecast"]
    if not forecast["fitted"]:
        return "the run has no forecast to hold against that"
    if of is None:
        return "no canary with a forecast has a completion"
    low, high = of["drawn_95"]
    said = f"{of['expected']:.1%} [{low:.1%}, {high:.1%}] were expected, {of['observed']:.1%} came"
    if forecast["target"]["extrapolated"]:
        said += " (beyond ten times the proxies an order and a band, no probability)"
    if not traced:
        return f"that says nothing of the forecast unless they were mixed in: {said}"
    if of["holds"]:
        return f"the forecast held: {said}"
    return f"the forecast was too {'low' if of['observed'] > high else 'high'}: {said}"


def _twins(outside: tuple[int, int] | None) -> str:
    """Return what is to be said of twins that are recited though they were never given out."""
    if outside is None or not outside[0]:
        return ""
    return (
        f"{outside[0]:,} of {outside[1]:,} twins that were kept out are recited, too: they can be "
        "guessed, or were trained on after all"
    )
