"""The section "Signals": probes by times seen, kinds of text, the long tail, the training."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.engine.tables import Row
from pipeline.report.html.charts import Spec, chart, colour, name, number, spec
from pipeline.report.html.markup import DASH, Html, join, percent, table, tag
from pipeline.report.html.markup import number as shown_number
from pipeline.report.html.terms import term
from pipeline.report.page.dynamics import dynamics

_SEEN = {"seen": "trained on", "unseen": "never trained on (floor)"}
_VECTORS = {"plain": "none", "started": "those of random tokens"}
_DOSE = {
    "times trained on": ("it saw them", "seen", "times seen in training"),
    "occurrences in the corpus": (
        "they occur, since it is not known what it was trained on",
        "occurs",
        "occurrences in the corpus",
    ),
}  # by the fact `by`: after "how often", head of a column, caption


def signals(data: Row) -> Html:
    """Return the section "Signals" of the page."""
    found = data["signals"]
    if not found:
        return tag(
            "p", "Signals need proxies: ", tag("code", "rote score RUN"), ".", class_="prose"
        )
    costs = [_defence(found["defence"])] if found["defence"] else []
    tables = [_same_dose(found["same_dose"])] if found["same_dose"] else []
    tables += [_kinds(found["strata"])] if found["strata"] else []
    tables += [_tail(found["long_tail"])] if found["long_tail"] else []
    course = dynamics(found["dynamics"])
    return join([_introduction(found), *_probes(found), *costs, *tables, *course])


def _introduction(found: Row) -> Html:
    """Return what was probed, or how to ask for it."""
    if found["why_not"]:
        return tag("p", f"No probe ran: {found['why_not']}.", class_="prose")
    if found["asked"] and not found["numbers"]:
        names = ", ".join(found["asked"])
        return tag(
            "p",
            f"The probes asked for ({names}) have no numbers here: too little is recited, or they "
            "are of loaded models.",
            class_="prose",
        )
    if not found["numbers"]:
        return tag(
            "p",
            "No probe was asked for. ",
            tag("code", 'rote score RUN --set \'probes.signals=["extraction", "approximate"]\''),
            " measures more of what proxies know of a panel of sequences, at a cost that it states "
            "first; ",
            tag("code", "docs/signals.md"),
            " lists them. Below is what every scored run has.",
            class_="prose",
        )
    return tag(
        "p",
        f"Measured on {shown_number(found['sequences'])} ",
        term("sequence", "sequences"),
        f" of {shown_number(found['families'])} ",
        term("family", "families"),
        f" by the proxy {found['proxy']}, shared out evenly over how often "
        f"{_DOSE[found['by']][0]}: a mean is of its column, with a ",
        term("95% interval"),
        " by family, and none over all columns is given. ",
        tag("code", "docs/signals.md"),
        " has the formulas and their sources.",
        class_="prose",
    )


def _probes(found: Row) -> list[Html]:
    """Return a table for each probe: its numbers by times seen."""
    rows = found["numbers"]
    return [
        _probe(signal, [row for row in rows if row["signal"] == signal], found["by"])
        for signal in dict.fromkeys(row["signal"] for row in rows)
    ]


def _probe(signal: str, rows: Sequence[Row], dose: str) -> Html:
    """Return the table of one probe."""
    times = sorted({row["times_seen"] for row in rows}, key=_first)
    lines = []
    for one in dict.fromkeys(row["name"] for row in rows):
        by_times = {row["times_seen"]: row for row in rows if row["name"] == one}
        cells = [_mean(by_times[label]) if label in by_times else DASH for label in times]
        lines.append([one.replace("_", " "), *cells])
    _, column, by = _DOSE[dose]
    head = [signal, *(f"{column} {label}" for label in times)]
    return table(f"Probe {signal}: means by {by}.", head, lines)


def _mean(row: Row) -> str:
    """Return a mean with its interval."""
    low, high = row["mean_95"]
    ends = "" if low is None else f" [{low:.3g}, {high:.3g}]"
    return f"{row['mean']:.3g}{ends}" if row["mean"] is not None else DASH


def _first(times: str) -> int:
    return int(times.split(" ")[0])


def _defence(rows: Sequence[Row]) -> Html:
    """Return the table of what soft prompts keep from being recited, and what they cost."""
    lines = [
        (
            _VECTORS.get(row["vectors"]) or f"trained to hold {row['vectors'][3:]} nats a token",
            f"{row['still_recited']:.1%}",
            " to ".join(f"{end:.1%}" for end in row["still_recited_95"]),
            f"{row['nats_added']:+.3f}",
            " to ".join(f"{end:+.3f}" for end in row["nats_added_95"]),
        )
        for row in rows
    ]
    first = rows[0]
    caption = (
        "What a soft prompt costs: vectors read before a text, trained on one half of the "
        f"families. Of the other half {shown_number(first['sequences'])} recited sequences and "
        f"{shown_number(first['unknown'])} that the model does not know."
    )
    head = ("vectors", "still recited", "95% interval", "nats a token added", "95% interval")
    return table(caption, head, lines, (0,))


def _same_dose(rows: Sequence[Row]) -> Html:
    """Return the table of what sets the memorized apart from the rest of the same dose."""
    lines = [
        (
            row["words"],
            f"{row['mean_memorized']:.3g}",
            f"{row['mean_others']:.3g}",
            f"{row['mean_memorized'] - row['mean_others']:+.3g}",
            " to ".join(f"{end:+.3g}" for end in row["difference_95"]),
        )
        for row in rows
    ]
    one = rows[0]
    caption = (
        f"Memorized against not, at the same dose: {shown_number(one['memorized'])} sequences of "
        f"{shown_number(one['families'])} families against {shown_number(one['others'])}, within "
        "powers of two of how often the model saw them."
    )
    head = ("mean of", "memorized", "not", "difference", "95% interval")
    return table(caption, head, lines, (0,))


def _kinds(rows: Sequence[Row]) -> Html:
    """Return the table of what was memorized by kind of text."""
    lines = [
        (
            row["text"],
            _SEEN["seen" if row["seen"] else "unseen"],
            shown_number(row["sequences"]),
            f"{row['rate']:.1%}",
            percent(row["families_memorized"], row["families"]),
            " to ".join(f"{end:.1%}" for end in row["rate_of_families_95"]),
        )
        for row in rows
    ]
    head = (
        "text", "the proxy was", "sequences", "memorized", "families memorized", "95% interval",
    )  # fmt: skip
    caption = "What the largest proxy memorized, by kind of text; the interval is of families."
    return table(caption, head, lines, (0, 1), data_sort=True)


def _tail(tail: Row) -> Html:
    """Return the chart of what was memorized by deciles of how rare a text's tokens are."""
    values, lines = [], []
    for key in (known for known in tail if known in _SEEN):
        for row in tail[key]:
            low, high = row["rate_of_families_95"]
            share = row["families_memorized"] / max(1, row["families"])
            values.append(
                {
                    "decile": row["decile"], "share": share, "low": low, "high": high,
                    "trained": _SEEN[key], "families": row["families"],
                }
            )  # fmt: skip
            lines.append(
                (
                    _SEEN[key],
                    shown_number(row["decile"]),
                    f"{row['from']:.1f} to {row['to']:.1f}",
                    shown_number(row["families"]),
                    f"{share:.1%}",
                    f"{low:.1%} to {high:.1%}",
                )
            )
    title = "Long tail: families memorized, by how rare their tokens are"
    note = "Tenths of the corpus's sequences by the bits of their suffix's tokens; 10 is rarest."
    head = (
        "trained", "decile", "bits of the suffix", "families", "families memorized", "95% interval",
    )  # fmt: skip
    numbers = table(f"{title}. {note}", head, lines, (0,), data_sort=True)
    return chart("tail", title, _drawn(values), numbers, note)


def _drawn(values: list[Row]) -> Spec:
    """Return the specification of the chart: lines with intervals."""
    x = number(
        "decile",
        "tenth of the sequences, common to rare",
        axis={"tickCount": 10, "format": "d"},
        scale={"domain": [1, 10]},
    )
    y = number("share", "families memorized", axis={"format": "%", "tickCount": 5})
    tint = colour("trained", list(_SEEN.values()))
    tips = [
        name("trained", "it was"), number("decile", "decile"),
        number("share", "memorized", format=".1%"), number("low", "from", format=".1%"),
        number("high", "to", format=".1%"), number("families", "families", format=","),
    ]  # fmt: skip
    ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    layers: list[Spec] = [
        {"mark": {"type": "rule", "opacity": 0.45}, "encoding": {"x": x, **ends, "color": tint}},
        {
            "mark": {"type": "line", "point": True},
            "encoding": {"x": x, "y": y, "color": tint, "tooltip": tips},
        },
    ]
    return spec(values, layer=layers)
