"""The words that the page, the summary and the comparison have for kinds, reasons and fates."""

from __future__ import annotations

import textwrap

from pipeline.report.quotes.quotes import label

WIDTH = 98  # of a terminal

KINDS = {
    "exact": "exact copies",
    "near": "near copies",
    "contained": "excerpts of longer documents",
    "passage": "repeated passages in rows that stay",
    "risk": "texts likely to be memorized",
}
REASONS = {
    "exact_copy": "exact copies",
    "near_copy": "near copies",
    "contained": "excerpts of longer documents",
    "risk": "texts likely to be memorized",
    "short": "rows of which a cut left too little",
    "forgotten": "rows taken out for good",
    "contaminated": "rows that hold an evaluation item",
    "held": "rows that the other run holds",
    "personal": "rows with personal data",
}
REMOVED_AS = {
    "exact_copy": "an exact copy",
    "near_copy": "a near copy",
    "contained": "contained in a longer document",
    "risk": "too likely to be memorized",
    "short": "a row of which a cut left too little",
    "forgotten": "one to be forgotten",
    "contaminated": "one that holds an evaluation item",
    "held": "one that the other run holds",
    "personal": "one with personal data",
}
WHY = {
    "exact": "the same bytes as a document that stays",
    "near": "a document that stays has nearly all of their words, proved by exact Jaccard",
    "contained": "a longer document that stays has their words",
    "passage": "the same words again, in a document that is no copy otherwise",
    "risk": "the forecast is that the target recites them",
}
RULES = {
    "exact": "drop-copies",
    "near": "drop-copies",
    "contained": "drop-copies",
    "passage": "cut-spans",
    "risk": "drop-risk",
}
SEARCHED = "other columns are not searched"  # after numbers of personal data
PERSONAL = {
    "email": "e-mail address",
    "phone": "phone number",
    "ip": "IP address",
    "iban": "account number (IBAN)",
    "card": "payment card",
    "national_id": "national number of a person",
    "key": "key or token",
}
REJECTED = {
    "null_text": "the text is null",
    "empty_text": "the text is empty",
    "invalid_utf8": "the bytes are not UTF-8",
    "not_json": "the line is not a JSON object",
    "not_a_string": "the text is not a string",
    "csv_fields": "the line has another number of fields than the header",
    "csv_quote": "a quote that was left open took in the lines after it",
    "lone_surrogate": "half of a character (a lone surrogate)",
}


def kind(name: str | None) -> str:
    """Return what a kind of repetition, or a rule's reason, is called."""
    return KINDS.get(name or "", REASONS.get(name or "", label((name or "").replace("_", " "))))


def reason(name: str | None) -> str:
    """Return what rows removed for a reason are called."""
    return REASONS.get(name or "", label((name or "").replace("_", " ")))


def fate(name: str | None) -> str:
    """Return what became of a document: kept, removed and why, or not there."""
    if name is None:
        return "not there"
    return "kept" if name == "kept" else f"removed: {reason(name)}"


def removed_as(reason: str) -> str:
    """Return what a removed row was removed as; a reason of another version by its own name."""
    return REMOVED_AS.get(reason, label(reason.replace("_", " ")))


def wrapped(text: str, indent: int) -> str:
    """Return a text in lines for a terminal; all but the first are two spaces further in."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_on_hyphens=False,
    )


def times(count: int) -> str:
    """Return a number of times in words."""
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def number(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the singular or plural."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or f'{noun}s'}"
