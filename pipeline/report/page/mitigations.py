"""The section "Mitigations": what was added for training, what it does and what it misses."""

from __future__ import annotations

from pipeline.engine.tables import Row
from pipeline.report.html.markup import DASH, Html, join, number, table, tag
from pipeline.report.html.terms import term

FILTERS = {"memfree": "tokens", "memfree_words": "words"}


def mitigations(data: Row) -> Html:
    """Return the section "Mitigations" of the page."""
    found = data["mitigations"]
    parts = [
        *([_sinks(found["sinks"])] if found["sinks"] else []),
        *([_weights(found["weights"])] if found["weights"] else []),
        *([_goldfish(found["goldfish"])] if found["goldfish"] else []),
        *(_memfree(found[key], of) for key, of in FILTERS.items() if found[key]),
    ]
    if parts:
        return join(parts)
    return tag(
        "p",
        "Nothing was added for training. The settings ",
        tag("code", "mitigation.*"),
        " add a ",
        term("sink id"),
        ", weights, a ",
        term("goldfish", "goldfish mask"),
        " or a ",
        term("MemFree", "filter for decoding"),
        " to what is kept; ",
        tag("code", "docs/policies.md"),
        " says what each promises.",
        class_="prose",
    )


def _sinks(found: Row) -> Html:
    """Return the paragraph on sink ids."""
    changed = found["documents_with_another_sink_than_before"]
    return tag(
        "p",
        term("sink id", "Sink ids"),
        f": {number(found['sinks'])} texts, each with its copies and near copies, have one of "
        f"their own. {number(changed)} documents have another one than in the scan before; a "
        "training that uses the old ones keeps what it stored for them apart.",
        class_="prose",
    )


def _weights(kind: str) -> Html:
    """Return the paragraph on weights."""
    return tag(
        "p",
        f"Weights: each kept row carries 1 over its {kind} count among the rows that stay, for "
        "sampling in place of removal.",
        class_="prose",
    )


def _goldfish(found: Row) -> Html:
    """Return the table of the loss mask: how much it leaves out."""
    share = found["share_left_out"]
    lines = [
        ("tokens of kept rows", number(found["tokens"])),
        ("left out of the loss", number(found["tokens_left_out"])),
        ("share left out", f"{share:.2%}" if share is not None else DASH),
        ("asked (1 of k)", f"{found['share_asked']:.2%}"),
        ("tokens before that decide", number(found["context"])),
    ]
    caption = join([term("goldfish", "Goldfish mask"), ": measured over what was written."])
    return table(caption, ("", "value"), lines, class_="small facts")


def _memfree(found: Row, of: str) -> Html:
    """Return the table of a Bloom filter: its size, its errors and what evades it.

    Args:
        found: the facts of the filter.
        of: what its runs are of.
    """
    lines = [
        ("sequences at risk", number(found["sequences"])),
        (f"runs of {found['n']} {of}", number(found["runs"])),
        ("false positives expected", _rate(found["false_positives_expected"])),
        ("measured, random runs", _rate(found["false_positives_of_random_runs"])),
        ("measured, other runs of these texts", _rate(found["false_positives_of_other_text"])),
        *(
            (f"missed after: {change}", f"{share:.0%}")
            for change, share in found["missed_after"].items()
        ),
    ]
    caption = join(
        [
            term("MemFree", f"Filter for decoding, by {of}"),
            ": the share of risky sequences of which it holds no run any more after a change.",
        ]
    )
    return table(caption, ("", "value"), lines, class_="small facts")


def _rate(value: float | None) -> str:
    """Return a small rate; a dash where none was measured."""
    return DASH if value is None else f"{value:.2g}"
