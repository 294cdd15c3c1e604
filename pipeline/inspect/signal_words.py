"""Write what is known of a row's riskiest sequence in words: counts, its text, proxies, probes."""

from __future__ import annotations

from itertools import groupby

from pipeline.config.sections import Config
from pipeline.engine.tables import Row
from pipeline.inspect.attributed import Attributed
from pipeline.inspect.explanation import Explanation
from pipeline.report.html.phrases import times
from pipeline.report.quotes.quotes import quote

SHARES = {
    "continuation_share": "of the occurrences of its prefix that go on as it does",
    "suffix_in_prefix": "of the suffix's 3-grams that the prefix holds too",
    "template_share": "of the suffix's tokens that copying from before guesses",
    "rare_token_share": "of its tokens among the rarest",
    "redaction_share": "of its characters in redaction markers",
    "non_latin_share": "of its letters of other scripts than Latin",
}


def signal_lines(one: Explanation) -> list[str]:
    """Return lines on a row's riskiest sequence, and on what probes measured; none unscored."""
    lines = [] if one.sequence is None else _of_sequence(one.sequence, one.config)
    lines += [] if one.attributed is None else _of_attribution(one, one.attributed)
    return lines + _of_probes(one.probes)


def _of_attribution(one: Explanation, of: Attributed) -> list[str]:
    """Return which tokens of the prefix a recall rests on, and the self-influence by proxy."""
    parts = [
        f"{_token(one, first, past)} {nats:+.2f}" for first, past, nats in of.tokens if nats > 0
    ]
    lines = [
        f"Its prefix adds {of.whole:.2f} nats to log p of its suffix in {of.proxy}"
        + (f", most of them: {', '.join(parts)}." if parts else "."),
    ]
    told = ", ".join(f"{name} ({_seen(seen)}) {value:.3g}" for name, seen, value in of.influence)
    return [*lines, f"Self-influence, what a step of rate 1 on it would take off its loss: {told}."]


def _token(one: Explanation, first: int, past: int) -> str:
    """Return a token between quotation marks, as it may be shown."""
    shown = quote(one.text or "", first, past, masked=one.config.report.mask)
    return f"\N{LEFT DOUBLE QUOTATION MARK}{shown}\N{RIGHT DOUBLE QUOTATION MARK}"


def _seen(times_seen: int | None) -> str:
    if times_seen is None:
        return "may have seen it"
    return f"saw it {times(times_seen)}" if times_seen else "never saw it"


def _of_sequence(row: Row, config: Config) -> list[str]:
    """Return what was counted of a sequence, its text, and what each proxy says."""
    lines = [
        (
            f"Riskiest sequence, from token {row['start_token']:,}: its words occur "
            f"{times(row['sequence_count'])}, those of its last 32 tokens "
            f"{times(row['suffix_count'])}, the rarest 8 of these {times(row['rarest_count'])}."
        ),
        "Its text: "
        + "; ".join(
            [f"{row[key]:.0%} {words}" for key, words in SHARES.items() if row[key]]
            + [
                f"{row['token_bits']:.1f} bits a token, {row['rarest_token_bits']:.1f} the rarest",
                f"{row['suffix_entropy_bits']:.1f} bits of entropy among its suffix's tokens",
                f"{row['zlib_bits_per_byte']:.1f} bits a byte compressed",
            ]
        )
        + ".",
    ]
    if row["gap_bits"] is not None:
        lines.append(f"Seen by one half only, it is {row['gap_bits']:.1f} bits likelier there.")
    known = not config.proxy.models or config.proxy.trained_on == "corpus"
    return lines + [_of_proxy(proxy, known=known) for proxy in row["proxies"]]


def _of_proxy(proxy: Row, *, known: bool) -> str:
    """Return what one proxy says of a sequence.

    Args:
        proxy: its statistics.
        known: whether it is known what it was trained on.
    """
    seen = _seen(proxy["seen"] if known else None)
    memorized = "memorized" if proxy["memorized"] else f"{proxy['run_length']} tokens right"
    return (
        f"Proxy {proxy['proxy']} {seen}: {memorized}, log p {proxy['log_p_z']:.2f} nats, least "
        f"margin {proxy['margin']:.2f}."
    )


def _of_probes(rows: list[Row]) -> list[str]:
    """Return a line for each probe of each sequence and proxy."""
    lines = []
    keys = ("start_token", "proxy", "signal")
    for (token, proxy, signal), own in groupby(rows, lambda row: tuple(row[k] for k in keys)):
        numbers = ", ".join(f"{row['name'].replace('_', ' ')} {row['value']:.4g}" for row in own)
        lines.append(f"Probe {signal} of {proxy}, from token {token:,}: {numbers}.")
    return lines
