"""The verdict: the first page in plain words, for who has to file it."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.data.headline import (
    headline,
    is_order,
    no_forecast,
    ordered,
    share,
    times,
)
from pipeline.report.html.facts import INTERVAL, OF_FAMILIES, with_rate_of_families
from pipeline.report.html.markup import DASH, Html, join, number, tag
from pipeline.report.page import opening
from pipeline.report.page import personal as personal_page
from pipeline.report.quotes.quotes import label

CHANGED = {
    "cut-spans": "repeated passages cut",
    "decontaminate, cut": "evaluation items cut out",
    "mask-personal": "personal data masked",
}  # what a rule did to the text of rows that stay
HALF = 0.5  # sequences that are told as one
NOT_COVERED = (
    "Not covered: what the texts say of persons without their words being recited (attributes, "
    "paraphrase, translation), text drawn out by other prefixes than its own, and what a model "
    "learns from other corpora. This is no privacy guarantee."
)


def verdict(data: Row) -> Html:
    """Return the section "In short" of the page, with who filed what, by which settings."""
    lines = [tag("p", tag("b", f"{name}. "), text) for name, text in sentences(data)]
    return tag(
        "section",
        tag("h2", "In short", id="verdict-title"),
        *lines,
        _filed(data),
        id="verdict",
        aria_labelledby="verdict-title",
    )


def sentences(data: Row) -> list[tuple[str, str]]:
    """Return what the page says first: (a question's name, its answer), in order."""
    told = [
        ("Likely to be recited", _recited(data)),
        ("How sure", _how_sure(data)),
        ("What the filter takes", _taken(data)),
        ("Personal data", _personal(data)),
        ("Limits", NOT_COVERED),
    ]
    return [(name, text) for name, text in told if text]


def _recited(data: Row) -> str:
    """Return what a model would recite, or how much there is to recite without a forecast."""
    where = ", those shown apart left out," if data["apart"] else ""
    repeats = (
        f"{opening.repeated(data)} of the words{where} lie in passages that occur more than once, "
        "which models recite most."
    )
    if not data["risk"]:
        return f"This run has no forecast (rote score makes one). {repeats}"
    model = data["risk"]["model"]
    said = headline(data["config"]["target"], model)
    missing = no_forecast(model, data["risk"]["proxies"])
    return f"{missing or f'{said[:1].upper()}{said[1:]}.' if said or missing else ''} {repeats}"


def _how_sure(data: Row) -> str:
    """Return what the forecast rests on, and what the proxies did."""
    if not data["risk"]:
        return ""
    model = data["risk"]["model"]
    kind = (
        "A band and an order of texts, not a probability: the target is over ten times the models "
        "that were trained here, in size or in tokens, and laws carry the forecast there."
        if is_order(model)
        else "A forecast with a 95% interval, fitted on small models that were trained here."
    )
    rates = [
        rate_told(model[key], name)
        for key, name in (("base_rate", "that it was trained on"), ("floor", "that it never saw"))
        if isinstance(model.get(key), dict)
    ]
    seen = f" The largest of them recited text of {'; of '.join(rates)}." if rates else ""
    return f"{kind}{seen}" if model.get("fitted") is not False else seen.strip()


def rate_told(row: Row, name: str) -> str:
    """Return how many families hold a memorized sequence, with the interval of that share."""
    told = with_rate_of_families(row)
    ends, rate = told.get(f"{OF_FAMILIES}{INTERVAL}"), told.get(OF_FAMILIES)
    whole = f"{number(row.get('families_memorized'))} of {number(row.get('families'))}"
    interval = f" [{share(ends[0])}, {share(ends[1])}]" if ends else ""
    return f"{whole} families {name}, {DASH if rate is None else share(rate)}{interval}"


def _taken(data: Row) -> str:
    """Return what the filter removed, and one number before it and after it."""
    steps = {step["step"]: step["rows"] for step in data["funnel"]}
    gone = data["corpus"]["documents"] - steps["kept"]
    text = (
        f"{number(gone)} of {number(data['corpus']['documents'])} documents; "
        f"{number(steps['kept'])} are kept{_changed(data)}."
    )
    skipped = sum(note["kind"] == "skipped_file" for note in data["notes"])
    left_out = f" Files that could not be read and count nowhere: {skipped:,}." if skipped else ""
    return f"{text}{left_out} {before_and_after(data)}".strip()


def _changed(data: Row) -> str:
    """Return in how many of the rows that stay which rule has changed the text."""
    words = dict(CHANGED)
    if data["config"]["policy"]["cut"] == "mask":
        words["cut-spans"] = "repeated passages marked to be masked"
    told = [
        f"{number(rule['cut_rows'])} of them with {words[rule['rule']]}"
        for rule in data["removed"]["rules"]
        if rule.get("cut_rows") and rule["rule"] in words
    ]
    return "".join(f", {text}" for text in told)


def before_and_after(data: Row) -> str:
    """Return the number of the report before the filter and at the doses after it; none unscored.

    Where risks are an order that is how many different sequences occur as often as the low end of
    the target's dose at which half are recited, at the power of two below it, or as often as any
    does where none occurs so often; else documents at risk.
    """
    if not data["removed"]["left"]:
        return ""
    before, after = data["removed"]["left"]
    coverage = (
        f"(scored {number(after['scored'])} of {number(after['documents'])} documents that stay, "
        f"{number(before['scored'])} of {number(before['documents'])} before)"
    )
    if not ordered(data):
        return (
            f"Documents at risk 0.5 or above: {number(before['risky'])} before the filter, "
            f"{number(after['risky'])} after it, at the doses that it leaves {coverage}."
        )
    target = data["risk"]["model"]["target"]
    asked = _often(target, [row["times"] for row in before["often"]])
    known = [row for row in before["often"] if row["times"] <= asked]
    at = max((n for n, row in enumerate(known) if row["sequences"] >= HALF), default=0)
    shown = known[at]["times"]
    counts = [number(side["often"][at]["sequences"]) for side in (before, after)]
    none = f"none occurs {asked:,} times or more; " if shown < asked else ""
    return (
        f"Of some {number(before['sequences'])} different sequences {none}{counts[0]} occur "
        f"{shown:,} times or more before the filter, {counts[1]} after it {coverage}."
        f"{_half(target, asked)}"
    )


def _often(target: Row, known: list[int]) -> int:
    """Return the largest known number of times that is at most the low end of the half dose."""
    low = target["half_dose_95"][0] if target.get("half_dose_95") else known[0]
    return known[-1] if low is None else max((n for n in known if n <= low), default=known[0])


def _half(target: Row, asked: int) -> str:
    """Return from which dose on half may be recited, as the first answer's interval has it.

    Args:
        target: of the facts of the stage `risk`.
        asked: the number of times that stands for it among those that are counted.
    """
    if not target.get("half_dose_95"):
        return ""
    low = target["half_dose_95"][0]
    counted = "" if low == asked else "; times are counted at powers of two"
    return (
        f" Half may be recited from {times(low)} times on, the low end of its interval{counted}. "
        "A longer training needs more: this corpus is then a smaller part of it."
    )


def _personal(data: Row) -> str:
    """Return what was found of personal data, or that nobody looked."""
    if not data["personal"]:
        return "Not looked for (personal.find)."
    return personal_page.sentence(data) if data["personal"]["kinds"] else "None was found."


def _filed(data: Row) -> Html:
    """Return the list of what the report is of, by whom, when, and by which settings."""
    said, rote = data["config"]["report"], data["rote"]
    known = [
        ("Report of", said["title"]),
        ("Owner", said["owner"]),
        ("Date", said["date"]),
        ("Made by", f"rote {rote['version']}, scan {rote['scan']} of its run folder"),
        ("Corpus digest", data["provenance"]["corpus"]),
        ("Settings digest", data["provenance"]["settings"]),
    ]
    entries = [
        part
        for name, value in known
        if value
        for part in (tag("dt", name), tag("dd", label(value, 200)))
    ]
    return join([tag("dl", *entries, class_="settings filed")])
