"""Two texts side by side: where a removed one and the one that stays first differ."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.quotes.masks import mask
from pipeline.report.quotes.quotes import quote, visible

MOST_DIFFERENCES = 3
DIFFERENCE_WORDS = 400
SHOWN_WORDS = 14
AROUND = 5
WIDTH = 98
SIDE = 12_000  # characters of each text side by side
LEAD = 300
STEP = 4096
AROUND_MASK = 200
WORD = 400

_OPEN = "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}"
_CLOSE = "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"


def differences(own: str | None, kept: str | None, *, masked: bool = True) -> str:
    """Return the first places where a text and its keeper differ, word by word.

    The common start is skipped, then 400 words of each are compared, so that a long text costs no
    more than a short.
    """
    if own is None or kept is None:
        return ""
    if own == kept:
        return "Beside what stays\n  the same text, byte for byte"
    a, b = own.split(), kept.split()
    if a == b:
        return "Beside what stays\n  the same words; only the white space differs"
    same = next(
        (place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y),
        min(len(a), len(b)),
    )
    start = max(0, same - AROUND)
    stop = same + DIFFERENCE_WORDS
    cut = len(a) > stop or len(b) > stop
    a, b = a[start:stop], b[start:stop]
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    changes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    if cut and len(changes) > 1 and (changes[-1][2] == len(a) or changes[-1][4] == len(b)):
        changes.pop()  # made by the cut, not by the texts
    lines = [
        f"Beside what stays (the first {same:,} words are the same)"
        if same
        else "Beside what stays"
    ]
    for _, a_from, a_to, b_from, b_to in changes[:MOST_DIFFERENCES]:
        lines += [
            _side("here", a, (a_from, a_to), masked=masked),
            _side("stays", b, (b_from, b_to), masked=masked),
            "",
        ]
    return "\n".join(lines).rstrip()


def _side(name: str, words: Sequence[str], change: tuple[int, int], *, masked: bool) -> str:
    """Return one line of a difference: the changed words between a few that are the same."""
    start, end = change
    before = _quoted(words[max(0, start - AROUND) : start], masked=masked)
    changed = _quoted(words[start : min(end, start + SHOWN_WORDS)], masked=masked) or "(nothing)"
    if end > start + SHOWN_WORDS:
        changed += " \N{HORIZONTAL ELLIPSIS}"
    whole = end <= start + SHOWN_WORDS
    after = _quoted(words[end : end + AROUND], masked=masked) if whole else ""
    line = " ".join(part for part in (before, f"{_OPEN}{changed}{_CLOSE}", after) if part)
    return textwrap.fill(
        line,
        WIDTH,
        initial_indent=f"  {name + ':':<7}",
        subsequent_indent=" " * 9,
        break_on_hyphens=False,
    )


def _quoted(words: Sequence[str], *, masked: bool) -> str:
    """Return words as a safe quote."""
    return quote(" ".join(words), masked=masked)


@dataclass(frozen=True)
class Piece:
    """A run of words of two texts, the same in both or not.

    Attributes:
        same: whether the texts agree.
        own: words of the one.
        kept: words of the other, which stays.
    """

    same: bool
    own: str
    kept: str


def side_by_side(own: str, kept: str, *, masked: bool = True) -> tuple[list[Piece], bool]:
    """Return the pieces of two texts around their first difference, and whether that is all.

    At most SIDE characters of each are compared; masks and escapes come before the comparison.
    """
    start = max(0, _common_start(own, kept) - LEAD)
    a, b = (_safe_words(text, start, masked=masked) for text in (own, kept))
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    pieces = [
        Piece(code == "equal", " ".join(a[a1:a2]), " ".join(b[b1:b2]))
        for code, a1, a2, b1, b2 in matcher.get_opcodes()
    ]
    whole = start == 0 and max(len(own), len(kept)) <= SIDE
    return pieces, whole


def _common_start(own: str, kept: str) -> int:
    """Return how many characters two texts have in common at their start."""
    at = 0
    while at < min(len(own), len(kept)) and own[at : at + STEP] == kept[at : at + STEP]:
        at += STEP
    rest = zip(own[at : at + STEP], kept[at : at + STEP], strict=False)
    more = next((place for place, (x, y) in enumerate(rest) if x != y), STEP)
    return min(at + more, len(own), len(kept))


def _safe_words(text: str, start: int, *, masked: bool) -> list[str]:
    """Return the words of a piece of a text; a word that is cut at its end is left out."""
    end = min(len(text), start + SIDE)
    around = text[max(0, start - AROUND_MASK) : end + AROUND_MASK]
    lead = start - max(0, start - AROUND_MASK)
    piece = mask(around, lead, lead + end - start) if masked else text[start:end]
    words = [word[:WORD] for word in visible(piece).split()]
    return words[: -1 if end < len(text) and len(words) > 1 else None]
