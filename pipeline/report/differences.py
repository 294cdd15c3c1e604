"""Two texts side by side: where a removed one and the one that stays first differ."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Sequence

from pipeline.report.quotes import quote

MOST_DIFFERENCES = 3
DIFFERENCE_WORDS = 400
SHOWN_WORDS = 14
AROUND = 5
WIDTH = 98

_OPEN = "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}"
_CLOSE = "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"


def differences(own: str | None, kept: str | None) -> str:
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
        lines += [_side("here", a, a_from, a_to), _side("stays", b, b_from, b_to), ""]
    return "\n".join(lines).rstrip()


def _side(name: str, words: Sequence[str], start: int, end: int) -> str:
    before = quote(" ".join(words[max(0, start - AROUND) : start]))
    changed = quote(" ".join(words[start : min(end, start + SHOWN_WORDS)])) or "(nothing)"
    if end > start + SHOWN_WORDS:
        changed += " \N{HORIZONTAL ELLIPSIS}"
    after = quote(" ".join(words[end : end + AROUND])) if end <= start + SHOWN_WORDS else ""
    line = " ".join(
        part
        for part in (
            before,
            f"{_OPEN}{changed}{_CLOSE}",
            after,
        )
        if part
    )
    return textwrap.fill(
        line,
        WIDTH,
        initial_indent=f"  {name + ':':<7}",
        subsequent_indent=" " * 9,
        break_on_hyphens=False,
    )
