"""The outlook in the section on risk, what four models would recite, and the plants it rests on."""

from __future__ import annotations

from math import floor

from pipeline.engine.tables import Row
from pipeline.report.data.headline import diluted, half_dose, short
from pipeline.report.html.markup import Html, join, number, percent, table, tag
from pipeline.report.html.terms import term

_ALIKE = ((0.95, "nearly the same"), (0.8, "much the same"))


def outlook(found: object) -> Html:
    """Return the table of the outlook with what it means; nothing without one."""
    if not isinstance(found, dict) or not found.get("models"):
        return join([])
    models = found["models"]
    head = [
        "occurrences",
        "places",
        *(
            f"{short(model['parameters_in_all'])} parameters, {short(model['tokens'])} tokens"
            for model in models
        ),
    ]
    rows = [model["by_occurrences"] for model in models]
    lines = [
        [f"{level[0]['occurrences']}", number(level[0]["sequences"]), *map(_band, level)]
        for level in zip(*rows, strict=False)  # facts of others may have fewer levels
    ]
    lines.append(["half is recited at", "", *(half_dose(model) for model in models)])
    caption = (
        "The ",
        term("outlook"),
        (
            ": at how many places of the corpus a sequence stands that occurs so often (each of "
            "its occurrences is one), at how many of them a model would recite it (95%); last, the "
        ),
        term("half dose"),
        ", in occurrences.",
    )
    return join(
        [
            table(join(caption), head, lines, class_="facts"),
            tag("p", _meaning(found), class_="prose"),
        ]
    )


def _band(level: Row) -> str:
    """Return the range of places that are recited."""
    low, high = (round(end) for end in level["recited_95"])
    if high == 0:
        return "under 1"
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _meaning(found: Row) -> str:
    """Return the sentences on what the table assumes and how sure the order is."""
    agreement = found.get("order_agrees")
    assumed = (
        "Each column is a model that sees this corpus once, within a training of 20 tokens for "
        "each of its parameters. All of them are far larger than the proxies: how the laws of "
        "dose, size and tokens go on beyond these is taken from published measurements, and a "
        "range holds what 95 of 100 ways to go on would give. "
    )
    assumed += diluted(found)
    if agreement is None:
        return assumed
    alike = next((words for least, words in _ALIKE if agreement >= least), "not the same")
    return assumed + (
        f"The order of sequences by risk is {alike} for any two of the models (rank correlation "
        f"{'' if agreement >= 1 else 'at least '}{floor(100 * agreement) / 100:.2f}): what to "
        f"remove first {'hardly ' if agreement >= _ALIKE[0][0] else ''}depends on the model."
    )


def plants(model: Row, proxies: Row) -> Html:
    """Return the paragraph on the plants; nothing without any."""
    found = proxies.get("plants")
    if not isinstance(found, dict) or not found.get("clusters_inside"):
        return join([])
    doses, inside = found.get("doses") or [], found["clusters_inside"]
    span = f"{min(doses):,} to {max(doses):,} times" if doses else "a known number of times"
    memorized = model.get("plants_memorized")
    told = (
        ""
        if memorized is None
        else f" Of these {number(inside)} the largest proxy memorized {number(memorized)}."
    )
    return tag(
        "p",
        "Beside the sample the proxies were taught ",
        term("plant", "plants"),
        f", passages of documents that are kept from them otherwise: {number(inside)} "
        f"passages, or groups of edited ones, {span} each, "
        f"{percent(found.get('share_of_training'), 1)} of all that they were taught; "
        f"{number(found.get('clusters_outside'))} more were left out by a draw. They "
        "show at which dose a model of each size recites, however little this corpus repeats, and "
        f"are in no file and no count.{told}",
        class_="prose",
    )
