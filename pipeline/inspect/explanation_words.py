"""Write an explanation in words: the sentences that the terminal and the page share."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.engine.tables import Row
from pipeline.inspect.explanation import Explanation
from pipeline.inspect.otherwise import are_short, both_stay, otherwise, symbols
from pipeline.inspect.signal_words import signal_lines
from pipeline.report.html.phrases import PERSONAL, REJECTED, number, removed_as, times, wrapped
from pipeline.report.quotes.differences import differences
from pipeline.report.quotes.quotes import label, quote
from pipeline.report.quotes.values import value_mask

MOST_ROWS = 5
SPANS = 12
NOTHING = 0.0005  # log odds that three decimals do not show
FORGOTTEN = "forgotten"
_WITH_LINES = frozenset({"Otherwise", "Signals"})  # titles that say nothing alone
HIDDEN = "Texts are not shown: report.excerpts is off."


def in_words(explanations: Sequence[Explanation]) -> str:
    """Return the explanations of all rows of a name as one text."""
    parts = [_document(one) for one in explanations[:MOST_ROWS]]
    if len(explanations) > 1:
        more = f"More than {MOST_ROWS}" if len(explanations) > MOST_ROWS else f"{len(explanations)}"
        parts.insert(0, f"{more} rows carry this id; name one of them as shard#row.")
    return "\n\n\n".join(parts)


def _document(one: Explanation) -> str:
    """Return the explanation of one row."""
    head = f"{label(one.row['doc_id'])}\n" + wrapped(place(one.row), 2)
    parts = [head, _block(*verdict(one))]
    if one.changed:
        parts.append(_block("Changed since the scan", changed_lines(one)))
    if not one.rejected:
        if one.keeper and one.config.report.excerpts and not one.changed:
            parts.append(differences(one.text, one.keeper_text, masked=one.config.report.mask))
        parts += [
            _block("Otherwise", otherwise(one)),
            _block("Counts", counts(one)),
            _spans(one),
            _risk(one),
            _block("Signals", signal_lines(one)),
        ]
        if not one.config.report.excerpts:
            parts.append(HIDDEN)
    return "\n\n".join(part for part in parts if part)


def place(row: Row) -> str:
    """Return where a row is and how long its text is."""
    size = "" if row.get("text_bytes") is None else f"; {row['text_bytes']:,} bytes"
    words = f", {row['words']:,} words" if row.get("words") is not None else ""
    return f"{where(row)}{size}{words}"


def where(row: Row) -> str:
    """Return the shard, row and source of a row."""
    source = f"; source {label(row['source'])}" if row.get("source") is not None else ""
    return f"{label(row['shard'])}, row {row['shard_row']:,}{source}"


def verdict(one: Explanation) -> tuple[str, list[str]]:
    """Return a title that says what became of a row, and lines that say why."""
    if one.rejected:
        why = REJECTED.get(one.row["reason"], one.row["reason"].replace("_", " "))
        return f"REJECTED: {why} ({one.row['reason']})", [
            "It is no document: it was not counted, compared or scored. rejected/ holds it whole."
        ]
    decision = one.decision
    if decision is None:
        return "NOT DECIDED", ["The filter has not run on these counts; `rote filter RUN` decides."]
    if decision["action"] == "drop":
        reason = removed_as(decision["reason"])
        lines = []
        if one.keeper is not None:
            lines = [
                f"what stays: {label(one.keeper['doc_id'])} ({where(one.keeper)})",
                f"proof: {proof(one)}",
            ]
        lines += _items(one)
        return f"REMOVED as {reason} (rule {decision['rule']})", lines
    how = {"cut": ", passages cut", "mask": ", passages masked"}.get(decision["action"], "")
    how = {"restored": ", restored", "personal_masked": ", personal data masked"}.get(
        decision["reason"], how
    )
    rule = f" (rule {decision['rule']})" if decision["rule"] else ""
    return f"KEPT{how}{rule}", _kept(one, decision)


def changed_lines(one: Explanation) -> list[str]:
    """Return which shards changed after they were scanned, and what that means."""
    names = ", ".join(label(name) for name in one.changed)
    line = (
        f"No longer the file that was scanned: {names}. All of this tells of the scan; what is in "
        "the file now was not counted and is not shown. Scan anew: rote scan CORPUS... --out RUN "
        "--verify"
    )
    return [line]


def _kept(one: Explanation, decision: Row) -> list[str]:
    """Return how many rows a kept one stands for, and the closest other texts."""
    stands = decision["rows_standing_for"]
    lines = [f"It stays in the place of {number(stands, 'removed row')}."] if stands else []
    if one.others is not None and one.others.differing:
        told = ", ".join(f"{count:,} in {label(name)}" for name, count in one.others.differing[:8])
        lines.append(
            "Their other columns are not all as its own: of "
            f"{number(one.others.compared, 'row')} compared, {told} differ."
        )
    lines += [
        f"{'closest other text' if place == 0 else 'then'}: {label(pair['doc_id'])}, exact "
        f"Jaccard {pair['jaccard']:.4f} ({pair['inter']:,} of {pair['total']:,} shingles)"
        f"{both_stay(one, pair)}"
        for place, pair in enumerate(one.near)
    ]
    lines += _items(one)
    if not one.near and not stands and one.row["exact_count"] == 1:
        threshold = one.config.near.count_threshold
        lines.append(f"No other text reaches Jaccard {threshold:g} with it.")
    return lines


def _items(one: Explanation) -> list[str]:
    """Return which row of the other run holds a row, and what items and personal data it holds."""
    held = [
        f"held by {label(row['their_doc_id'])} ({label(row['their_shard'])}, row "
        f"{row['their_row']:,}, digest {row['their_digest']}) of the other run: {row['method']}"
        + (f", {row['shared']:,} of {row['total']:,} shingles" if row["shared"] else "")
        for row in one.held
    ]
    items = [
        f"holds the field {label(item['field'])} of row {item['item_row']:,} of "
        f"{label(item['file'])}: {item['matched_words']:,} of "
        f"{number(item['item_words'], 'word')}, "
        f"{item['longest_run']:,} in one run, from byte {item['start_byte']:,} on ({item['rule']})"
        for item in one.items
    ]
    return [*held, *items, *_personal(one)]


def _personal(one: Explanation) -> list[str]:
    """Return how much personal data a row has, and where the first of it is, masked."""
    if not one.personal:
        return []
    data = (one.text or "").encode()
    told = []
    for row in one.personal:
        value = data[row["start_byte"] : row["end_byte"]].decode(errors="replace")
        shown = f" {value_mask(row['kind'], value)}" if value else ""
        told.append(
            f"{PERSONAL.get(row['kind'], row['kind'])}{shown} at byte {row['start_byte']:,}"
        )
    finds = one.personal[0]["finds"]
    more = f" and {finds - len(told):,} more" if finds > len(told) else ""
    return [f"personal data: {', '.join(told)}{more}"]


def proof(one: Explanation) -> str:
    """Return the proof of a removal that has a keeper."""
    row, keeper, decision, found = one.row, one.keeper or {}, one.decision or {}, one.proof
    near = one.config.near
    if row["representative"] == keeper.get("representative"):
        return "the same bytes of text (128-bit hash)"
    if decision["method"] == "contained":
        share = f"contained in it with {decision['score']:.1%} of its shingles"
        share += f" ({found['inter']:,} of {found['total']:,})" if found else ""
        return f"{share}; the threshold is {near.containment:g}"
    if found is None:
        score = decision["score"]
        return f"exact Jaccard {score:.4f}" if score is not None else "none recorded"
    return (
        f"exact Jaccard {found['jaccard']:.4f}: {found['inter']:,} shingles in both of "
        f"{found['total']:,} in either; the threshold is {near.threshold:g}"
        f"{f'; both have the same symbols: {symbols(row)}' if are_short(one, keeper) else ''}"
    )


def counts(one: Explanation) -> list[str]:
    """Return how often a text, its near copies and its windows occur."""
    row, window = one.row, one.config.window.words
    lines = [f"This exact text occurs {times(row['exact_count'])}."]
    if one.decision is not None:
        near = one.decision["near_count"] - row["exact_count"]
        bound = " or more" if row["near_capped"] else ""
        verb = "is a near copy" if near == 1 else "are near copies"
        lines.append(
            f"{number(near, 'document')}{bound} {verb} of it; its cluster holds "
            f"{number(one.decision['members'], 'document')}."
        )
    if row["max_window_count"] > 1:
        share = row["repeated_words"] / row["words"]
        lines.append(
            f"Its most repeated window of {window} words occurs {times(row['max_window_count'])}."
        )
        lines.append(
            f"{share:.0%} of its words ({row['repeated_words']:,} of {row['words']:,}) lie in "
            "repeated windows."
        )
    elif row["words"] < window:
        lines.append(f"It is shorter than a window of {window} words.")
    else:
        lines.append(f"No window of {window} words in it occurs twice.")
    return lines


def _spans(one: Explanation) -> str:
    """Return the repeated spans of a text, with quotes and where else they are."""
    if not one.spans:
        return ""
    total, shown = one.spans[0]["spans"], one.spans[:SPANS]
    lines = [
        f"Repeated spans ({total:,})"
        if total <= SPANS
        else f"Repeated spans ({SPANS} of {total:,})"
    ]
    for span in shown:
        lines.append(wrapped(span_line(span), 2))
        if one.text is not None:
            lines.append(_passage(one, span))
        if span["elsewhere"]:
            lines.append(wrapped(elsewhere(span), 4))
    return "\n".join(lines)


def span_line(span: Row) -> str:
    """Return where a repeated span is and how often it occurs."""
    return (
        f"bytes {span['start_byte']:,} to {span['end_byte']:,}: {span['words']:,} words, "
        f"up to {times(span['occurrences'])} in {number(span['documents'], 'document')}"
    )


def elsewhere(span: Row) -> str:
    """Return some of the other documents that repeat a span; empty without any."""
    others = span["elsewhere"]
    if not others:
        return ""
    named = "; ".join(f"{label(one['doc_id'], 60)} ({where(one)})" for one in others)
    more = others[0]["documents"] - len(others)
    return f"also in {named}{f'; and {more:,} more' if more > 0 else ''}"


def _passage(one: Explanation, at: Row) -> str:
    left, right = "\N{LEFT DOUBLE QUOTATION MARK}", "\N{RIGHT DOUBLE QUOTATION MARK}"
    return wrapped(f"{left}{passage(one, at)}{right}", 4)


def passage(one: Explanation, at: Row) -> str:
    """Return a safe quote of a span or a sequence of a row's text.

    Args:
        one: the explanation of the row.
        at: the span or sequence, with `start_byte` and `end_byte`.
    """
    masked = one.config.report.mask
    return quote(one.text or "", at["start_byte"], at["end_byte"], masked=masked)


def risk_lines(one: Explanation) -> list[str]:
    """Return a row's forecast with its interval, or why it has none."""
    if not one.scored:
        return ["not scored; `rote score RUN` makes a forecast"]
    if one.risk is None:
        return ["none of its sequences was scored (too short, or not in the sample)"]
    risk = one.risk
    if risk["risk"] is None:
        return ["no forecast: too little was memorized by the proxies to fit one"]
    if risk["extrapolated"]:
        return [
            (
                f"between {_decimals(risk['risk_low'])} and {_decimals(risk['risk_high'])} (95%), "
                f"from text that the proxies had{'' if risk['basis'] == 'seen' else ' not'} seen; "
                f"{risk['scored_share']:.0%} of its sequences were scored"
            ),
            (
                "The target is over ten times the proxies, in size or in tokens: read this as a "
                "rank among the texts of the corpus, not as a probability."
            ),
        ]
    return [
        (
            f"{risk['risk']:.3f} (95% interval {_decimals(risk['risk_low'])} to "
            f"{_decimals(risk['risk_high'])}), "
            f"{'' if risk['kind'] in (None, 'none') else risk['kind'] + ', '}from text that the "
            f"proxies had{'' if risk['basis'] == 'seen' else ' not'} seen"
        ),
        (
            f"{risk['expected_tokens']:,.1f} tokens expected to be memorized; "
            f"{risk['scored_share']:.0%} of its sequences were scored"
        ),
        *_when(risk),
    ]


def _when(risk: Row) -> list[str]:
    """Return when the target sees a text, where its order is planned."""
    if risk["last_exposure"] is None:
        return []
    apart = "" if risk["spacing"] is None else f"; its copies are {risk['spacing']:.1%} apart"
    told = (
        f"seen last with {risk['last_exposure']:.1%} of the epoch to come{apart}. The forecast is "
        "of a random order: text that is seen long before the end is recalled less."
    )
    return [told]


def _risk(one: Explanation) -> str:
    """Return the forecast, the passage that it is of, and what each feature contributes."""
    parts = [_block("Risk", risk_lines(one))]
    if one.text is not None and one.risk and one.risk["risk"] is not None:
        parts.append(_passage(one, one.risk))
    if one.features:
        parts.append(
            wrapped("contributions in log odds, for the largest proxy (value x coefficient):", 2)
        )
        parts += [
            f"    {row['feature']:<22} {row['value']:>10.3f} x {row['coefficient']:.3f} = "
            f"{row['contribution']:+.3f}"
            for row in one.features
            if abs(row["contribution"]) >= NOTHING
        ]
        rest = [row["feature"] for row in one.features if abs(row["contribution"]) < NOTHING]
        if rest:
            parts.append(wrapped(f"these add nothing: {', '.join(rest)}", 4))
    return "\n".join(parts)


def _block(title: str, lines: Sequence[str]) -> str:
    if title in _WITH_LINES and not lines:
        return ""
    return "\n".join([title, *(wrapped(line, 2) for line in lines)])


def _decimals(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
