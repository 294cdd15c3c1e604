"""The section "What a model would learn by rote": base rate and floor, forecast, spread."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.data.headline import headline, is_order, kept_proxies, no_forecast, share
from pipeline.report.html.charts import chart, colour, name, number, spec
from pipeline.report.html.facts import (
    blocks,
    columns,
    shown,
    with_rate_of_families,
    words,
)
from pipeline.report.html.markup import (
    DASH,
    Figure,
    Html,
    figure,
    join,
    percent,
    table,
    tag,
    text_of,
)
from pipeline.report.html.markup import number as shown_number
from pipeline.report.html.terms import term
from pipeline.report.page.outlook import outlook, plants

_INTERVAL = "95% interval"
LEAST = 0.001
_COLUMNS = {
    "memorized": "sequences memorized",
    "rate": "share of sequences",
    "rate_weighted": "weighted to the corpus",
    "rate_of_families": "share of families",
}
_OBSERVED = {"base_rate": "trained on (base rate)", "floor": "never trained on (floor)"}
_ELSEWHERE = (
    "fitted", "why_not", "target", "base_rate", "floor", "expected", "warnings", "outlook",
    "memorized_by_count", "memorized", "calibration_unseen", "held_out_unseen",
    "plants_memorized", "kept",
)  # fmt: skip
NAMES = {
    "expected": join(
        [
            "Share of sequences expected to be memorized, weighted to the whole corpus: all, ",
            term("seen", "unseen and seen"),
            " ones",
        ]
    ),
    "memorized": "Families memorized by each proxy",
    "memorized_by_count": "Share of sequences memorized, by how often they occur",
    "held_out_unseen": "Held-out families: text that a proxy did not see",
    "held_out_seen": "Held-out families: text that it saw",
    "calibration_unseen": "Calibration for text that a proxy did not see",
    "calibration_seen": "Calibration for text that it saw",
}


def tile(data: Row) -> tuple[str, str, str, str]:
    """Return the tile of the forecast: name, figure, note and style."""
    title = join(["documents at ", term("risk")])
    if not data["risk"]:
        return title, "not scored", "rote score makes a forecast", ""
    if not has_forecast(data["risk"]):
        return title, "no forecast", "why, and what would help, is in the alarms", ""
    if is_order(data["risk"]["model"]):
        return _share_tile(data["risk"]["model"])
    if not data["removed"]["left"]:
        return title, DASH, "is known once the filter has run on this forecast", ""
    before, after = data["removed"]["left"]
    note = (
        f"at 0.5 or above after the filter, {shown_number(before['risky'])} before it; "
        f"scored {shown_number(after['scored'])} of {shown_number(after['documents'])} that stay"
    )
    return title, shown_number(after["risky"]), note, ""


def has_forecast(found: Row) -> bool:
    """Tell whether any sequence has a risk; the histogram is null where risks are an order."""
    spread = found["histogram"]
    return spread is None or any(sum(counts) for counts in spread.values())


def _share_tile(model: Row) -> tuple[str, str, str, str]:
    """Return the tile of a target far beyond the proxies: a band in place of a number."""
    ends = ((model.get("expected") or {}).get("all") or {}).get("expected_share_95")
    band = f"{share(ends[0])} to {share(ends[1])}" if ends else DASH
    title = join([term("sequence", "sequences"), " recited"])
    return title, band, "by the target, as a band: it is over ten times the proxies", ""


def risk(data: Row) -> Html:
    """Return the section "What a model would learn by rote" of the page."""
    if not data["risk"]:
        return tag(
            "p",
            "risk: not scored. This run has no forecast; ",
            tag("code", "rote score RUN"),
            " trains small models on a sample and makes one. The counts below need no model.",
            class_="prose",
        )
    found = data["risk"]
    model = found["model"]
    missing = no_forecast(model, found["proxies"])
    parts = [tag("p", missing, class_="lead")] if missing else []
    parts += [_introduction(model), _in_short(data), _kept(model), outlook(model.get("outlook"))]
    parts += [plants(model, found["proxies"]), _observed(model)]
    if has_forecast(found):
        parts += [_expected(model)]
        parts += [] if is_order(model) else [_spread(found)]
    return join([*parts, _warnings(model)])


def _introduction(model: Row) -> Html:
    """Return the paragraphs on what risk means, the target, and why there is no forecast."""
    parts = [
        tag(
            "p",
            term("risk", "Risk"),
            " is the forecast probability that the model to be trained can complete a ",
            term("sequence"),
            " of 64 ",
            term("token", "tokens"),
            " word for word: all of the last 32 from the first 32. A document's risk is the "
            "largest of its scored sequences. It is a forecast with an error, not a guarantee; "
            "read it beside the ",
            term("base rate"),
            " and the ",
            term("floor"),
            ".",
            class_="prose",
        )
    ]
    target = model.get("target")
    if isinstance(target, dict):
        parts.append(tag("p", *_target(target), class_="prose"))
    return join(parts)


def _in_short(data: Row) -> Html:
    """Return the sentence on what the target would recite; nothing without a forecast."""
    said = headline(data["config"]["target"], data["risk"]["model"])
    return tag("p", f"{said[:1].upper()}{said[1:]}.", class_="lead") if said else join([])


def _kept(model: Row) -> Html:
    """Return the sentence on proxies of an earlier corpus; nothing where they are of this one."""
    said = kept_proxies(model)
    return tag("p", said, class_="prose") if said else join([])


def _target(target: Row) -> list[str]:
    """Return the sentences about the model to be trained, in parts."""
    parts = [
        term("target", "Target"),
        (
            f": {shown(target.get('parameters'))} parameters without embeddings, "
            f"{_ratio(target.get('times_the_largest_proxy'))} times the largest "
        ),
        term("proxy"),
        (
            f"; {shown(target.get('tokens'))} tokens, "
            f"{_ratio(target.get('times_the_tokens_of_the_proxies'))} times its tokens; epochs of "
            f"this corpus: {shown(target.get('epochs'))}; {shown(target.get('assumption'))}."
        ),
    ]
    if target.get("extrapolated"):
        parts += [
            " That is more than ten times the proxies, in size or in tokens: the forecast is ",
            term("extrapolated"),
            ", so it is told as a band, and risks are an order, not probabilities.",
        ]
    return parts


def _ratio(value: object) -> str:
    """Return how many times as large something is."""
    return shown(round(value)) if isinstance(value, float) and value >= 10 else shown(value)


def _observed(model: Row) -> Html:
    """Return the table of what the largest proxy memorized, of what it saw and never saw."""
    rows = [
        (title, with_rate_of_families(model[key]))
        for key, title in _OBSERVED.items()
        if isinstance(model.get(key), dict)
    ]
    if not rows:
        return join([])
    keys = list(dict.fromkeys(key for _, row in rows for key in row))
    lines = [[title, *(_observed_cell(key, row.get(key)) for key in keys)] for title, row in rows]
    caption = (
        "What the largest proxy ",
        term("memorized"),
        ": of sequences, and of the ",
        term("family", "families"),
        (
            " that hold them, which the interval is of. The floor is the rate among text that it "
            "never saw: what can be guessed."
        ),
    )
    head = ["sequences that it was", *map(_column, keys)]
    return table(join(caption), head, lines, class_="facts")


def _column(key: str) -> str:
    """Return the name of a column of facts; an interval leads to its meaning."""
    if key == "rate_of_families_95":
        return join(["share of families, ", term(_INTERVAL)])
    return _COLUMNS.get(key, words(key))


def _observed_cell(key: str, value: object) -> str:
    """Return a number of the table of what was observed; rates in per cent."""
    if not key.startswith("rate") or value is None:
        return shown(value)
    if isinstance(value, list):
        return " to ".join(share(end) for end in value)
    return figure(share(float(str(value))), float(str(value)))


def _expected(model: Row) -> Html:
    """Return the table of the share that is expected to be memorized."""
    rows = model.get("expected")
    if not isinstance(rows, dict):
        return join([])
    left_out = "expected_share" if is_order(model) else None
    shares = {
        name: {key: _share(key, value) for key, value in row.items() if key != left_out}
        for name, row in rows.items()
    }
    return join(blocks({"expected": shares}, "", NAMES))


def _share(key: str, value: object) -> object:
    """Return a share in per cent, or both ends of its interval; other facts as they are."""
    if key.startswith("expected_share") and isinstance(value, list):
        return " to ".join(share(end) for end in value)
    return share(value) if key == "expected_share" and isinstance(value, float) else value


def _spread(found: Row) -> Html:
    """Return the chart of how risk spreads over documents and sequences."""
    spread, step = found["histogram"], 1 / found["bins"]
    totals = {key: sum(counts) for key, counts in spread.items()}
    names = [f"{place * step:.1f} to {(place + 1) * step:.1f}" for place in range(found["bins"])]
    values = [
        {"risk": names[place], "of": of, "scored": spread[of][place]}
        | {"share": spread[of][place] / totals[of] if totals[of] else 0.0}
        for place in range(found["bins"])
        for of in ("documents", "sequences")
    ]
    channels = {
        "x": name("risk", "forecast risk", axis={"labelAngle": 0, "labelOverlap": True}),
        "xOffset": {"field": "of"},
        "y": number("share", None, axis={"format": "%"}),
        "color": colour("of", ["documents", "sequences"]),
        "tooltip": [
            name("risk", "risk"), name("of", "of"), number("scored", "scored", format=","),
            number("share", "share", format=".2%"),
        ],
    }  # fmt: skip
    lines = [
        (
            names[place],
            *(
                cell
                for of in ("documents", "sequences")
                for cell in (
                    shown_number(spread[of][place]),
                    percent(spread[of][place], totals[of]),
                )
            ),
        )
        for place in range(found["bins"])
    ]
    without = found["without"]
    note = join(
        [
            (
                f"{shown_number(totals['documents'])} documents and "
                f"{shown_number(totals['sequences'])} sequences (the "
            ),
            term("panel"),
            (
                f") were scored; {shown_number(without['documents'])} and "
                f"{shown_number(without['sequences'])} of them have no forecast."
            ),
        ]
    )
    numbers = table(text_of(note), ("risk", "documents", "share", "sequences", "share"), lines)
    return chart(
        "spread", "How risk spreads", spec(values, mark="bar", encoding=channels), numbers, note
    )


def _warnings(model: Row) -> Html:
    """Return the list of warnings about the forecast."""
    rows = model.get("warnings")
    texts = [shown(row.get("warning")) for row in rows if isinstance(row, dict)] if rows else []
    return tag("ul", *(tag("li", text) for text in texts), class_="prose") if texts else join([])


def details(found: Row) -> Html:
    """Return all other facts of the forecast and the proxies, to be opened."""
    rest = {key: value for key, value in found["model"].items() if key not in _ELSEWHERE}
    return tag(
        "details",
        tag("summary", "More about the forecast, the proxies and the sample that they learnt from"),
        columns([*blocks(rest, "", NAMES), *blocks(found["proxies"], "Proxies")]),
    )


def risk_figure(value: float) -> Figure:
    """Return a risk as it is shown, with its value: never 0.000 or 1.000, which none is."""
    return figure(_probability(value), value)


def interval(low: float | None, high: float | None) -> str:
    """Return the interval of a risk; one value where both ends are shown alike."""
    if low is None or high is None:
        return DASH
    ends = [_probability(low), _probability(high)]
    return ends[0] if ends[0] == ends[1] else DASH.join(ends)


def _probability(value: float) -> str:
    """Return a probability with three digits, or that it is beyond what these can tell."""
    if 0 < value < LEAST:
        return f"<{LEAST}"
    return f">{1 - LEAST}" if 1 - LEAST < value < 1 else f"{value:.3f}"
