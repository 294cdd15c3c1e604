"""Redaction and placeholder markers, and letters of other scripts: shares of a text.

De-identified text leaves traces (`[**Name**]`, `___`, `<PERSON>`, `XXXX`) that stand for what was
taken out: a model that learns such a passage learns the frame, and what it fills in is its own. The
patterns are a list of what is common, not a test of anonymity; they follow no paper.
"""

from __future__ import annotations

import re

_TAKEN_OUT = (
    r"REDACTED|REMOVED|DELETED|ANONYMI[SZ]ED|MASKED|OMITTED|PLACEHOLDER|NAME|PERSON|PATIENT|EMAIL"
    r"|PHONE|ADDRESS|DATE|LOCATION|URL|ORG|ID|NUMBER|SSN|PII|USER|USERNAME|PASSWORD|TOKEN"
    r"|API[_-]?KEY|INSERT[^\[\]<>(){}\n]{0,40}|YOUR[^\[\]<>(){}\n]{0,40}"
)
# each alternative begins with a letter of its own, which the engine looks for first: 5x faster
MARKERS = re.compile(
    "|".join(
        [
            r"\[\*\*[^\[\]\n]{0,60}\*\*\]",  # [**Known lastname**], of clinical notes
            *(
                rf"\{sign}\{sign}?[ ]?(?:{_TAKEN_OUT})(?:[_ -]?\d{{1,4}})?[ ]?[\]>)}}]{{1,2}}"
                for sign in "[<({"
            ),
            r"\[(?:redacted|removed|deleted|anonymi[sz]ed|email\ protected)\]",
            r"<(?:your|insert)[^<>\n]{0,40}>",
            r"\{\{[ ]?[\w.-]{1,40}[ ]?\}\}",
            r"\$\{[\w.-]{1,40}\}",
            r"%\([\w.-]{1,40}\)s",
            r"XXX-XX-XXXX",
            r"000-00-0000",
            *(rf"{sign * 2}{sign}+" for sign in ("X", "x", r"\*", "_", "\u2588", "\u2592")),
        ]
    )
)
LEAST = {"X": 4, "x": 4, "*": 4}
RULER = 12  # a longer run of these is a line across the page
LATIN_END = 0x24F


def redaction_share(text: str) -> float:
    """Return the share of the characters of a text that are in a marker; 0 of an empty text."""
    covered = sum(
        found.end() - found.start() for found in MARKERS.finditer(text) if _alone(found, text)
    )
    return covered / len(text) if text else 0.0


def _alone(found: re.Match[str], text: str) -> bool:
    """Tell whether a run of one sign is no part of a word, nor too short or long for a marker."""
    start, end = found.span()
    sign = text[start]
    if not found[0].startswith(sign * 3):
        return True
    beside = text[max(0, start - 1) : start] + text[end : end + 1]
    in_word = any(letter.isalnum() or letter == "_" for letter in beside)
    return not in_word and LEAST.get(sign, 3) <= end - start <= RULER


def non_latin_share(text: str) -> float:
    """Return the share of the letters of a text that are of another script than Latin."""
    if text.isascii():
        return 0.0
    letters = [character for character in text if character.isalpha()]
    other = sum(ord(character) > LATIN_END for character in letters)
    return other / len(letters) if letters else 0.0
