"""What `rote canaries` and `rote canaries check` say, in words for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.absent import KEY
from pipeline.canaries.checked.check import RESULT
from pipeline.canaries.made.canaries import Made
from pipeline.report.html.phrases import number, wrapped
from pipeline.report.quotes.quotes import label

HEAD = ("kind", "dose", "canaries", "recited (95%)", "exposure, bits (95%)")
FORECAST_HEAD = ("dose", "canaries", "expected (95%)", "observed (95%)")
RECOGNITION_HEAD = ("dose", "canaries", "AUC (95%)")


def made_in_words(made: Made) -> str:
    """Return what was written, and what to do with it."""
    about, file = made.key.about, made.key.file
    pairs = sum(one.inside for one in made.key.canaries)
    kinds, doses = " and ".join(about["kinds"]), ", ".join(map(str, about["doses"]))
    beside = f"; {number(about['references'], 'reference')}" if about["references"] else ""
    rows = (
        f"{number(file['rows'], 'row')} with the columns {' and '.join(map(label, made.columns))}"
    )
    lines = (
        f"{number(pairs, 'pair')} of {kinds} canaries, a fair coin puts one of each in",
        f"  doses     {doses}{beside}",
        f"  mix in    {made.folder / file['name']}: {rows}",
        f"  keep      {made.folder / KEY}: which are in, and the forecast; for nobody else",
        f"  seal      {made.key.digest}: note it elsewhere, and a changed key shows",
        f"  forecast  {_forecast(made.key.forecast)}",
    )
    told = (
        "None of them is in the corpus. Mix the rows in after the last filter or deduplication and "
        f"before the shuffle; after the training: rote canaries check {made.folder} --model MODEL"
    )
    return "\n".join([*lines, wrapped(told, 2)])


def _forecast(told: Mapping[str, Any]) -> str:
    if not told["fitted"]:
        return f"none: {told['why_not']}"
    target = told["target"]
    beyond = "; an order and a band" if target["extrapolated"] else ""
    return (
        f"of each at its dose, for {target['parameters']:,} parameters without embeddings and "
        f"{target['tokens']:,} tokens{beyond}"
    )


def checked_in_words(found: Mapping[str, Any], folder: Path) -> str:
    """Return the figures of a check in words and tables, the verdict first."""
    told = found["answers"]
    texts = 2 * told["pairs"]
    asked = (
        f"{label(str(found['asked']), 200)}: completions of {told['completions']:,} of {texts:,} "
        f"texts in pairs, log probabilities of {told['log_p']:,} of {texts + told['references']:,}"
    )
    head = [found["verdict"], "", f"{asked}; seal {found['key']}"]
    if told["without_an_answer"]:
        head.append(f"without an answer: {told['without_an_answer']}")
    tables = [_recited(found), _recognised(found), _calibrated(found)]
    notes = [wrapped(note, 2) for note in found["notes"]]
    parts = ["\n".join(head), *(table for table in tables if table), "\n".join(notes)]
    return "\n\n".join([*parts, f"all figures: {folder / RESULT}"])


def _recited(found: Mapping[str, Any]) -> str:
    """Return extraction and exposure by kind and dose."""
    rows: dict[tuple[str, int], list[str]] = {}
    for one in found["extraction"]:
        place = (one["kind"], one["dose"])
        rows[place] = [f"{one['canaries']:,}", _share(one["share"], one["share_95"]), "-"]
    for one in (one for one in found["exposure"] if one["dose"]):
        place = (one["kind"], one["dose"])
        low, high = one["bits_95"]
        row = rows.setdefault(place, [f"{one['canaries']:,}", "-", "-"])
        row[2] = f"{one['bits']:.1f} ({low:.1f} to {high:.1f})"
    if not rows:
        return ""
    lines = [
        (kind, "twins outside" if dose == 0 else f"{dose:,}", *cells)
        for (kind, dose), cells in sorted(rows.items())
    ]
    untrained = ", ".join(
        f"{one['kind']} {one['untrained_bits']:.1f}, at most {one['most_bits']:.1f}"
        for one in found["exposure"]
        if one["dose"] == 0
    )
    note = f"\n  exposure of what was not learnt: {untrained} bits" if untrained else ""
    return "Recited, and exposure among what stayed outside\n" + _table(HEAD, lines) + note


def _recognised(found: Mapping[str, Any]) -> str:
    """Return how well log p tells canaries from twins."""
    rows = [
        (
            "all" if one["dose"] == 0 else f"{one['dose']:,}",
            f"{one['canaries']:,}",
            f"{one['auc']:.3f} ({one['auc_95'][0]:.3f} to {one['auc_95'][1]:.3f})",
        )
        for one in found["recognition"]
    ]
    head = "Recognised: log p of canaries against that of twins outside\n"
    return head + _table(RECOGNITION_HEAD, rows) if rows else ""


def _calibrated(found: Mapping[str, Any]) -> str:
    """Return the forecast beside the truth, by dose."""
    of = found["calibration"]
    if of is None:
        return ""
    rows = [
        (
            f"{one['dose']:,}" if one is not of else "all",
            f"{one['canaries']:,}",
            _share(one["expected"], one["drawn_95"]),
            _share(one["observed"], one["observed_95"]),
        )
        for one in (*of["by_dose"], of)
    ]
    low, high = of["expected_less_observed_95"]
    note = (
        f"  Brier score {of['brier']:.4f}, of the base rate {of['brier_of_base_rate']:.4f}; "
        f"expected less observed {of['expected_less_observed']:+.1%} ({low:+.1%} to {high:+.1%})"
    )
    return "The forecast, sealed before the training\n" + _table(FORECAST_HEAD, rows) + "\n" + note


def _share(value: float, ends: tuple[float, float]) -> str:
    return f"{value:.1%} ({ends[0]:.1%} to {ends[1]:.1%})"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as lines of even columns."""
    lines = [head, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
