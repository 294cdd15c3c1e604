"""Personal data and secrets in a quote: found by form, replaced by what they are, in brackets.

A form is not proof: what is masked may be harmless, and what has another form is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.text.keys import ACCESS_KEY, PRIVATE_KEY, TOKEN


@dataclass(frozen=True)
class Form:
    """One kind of secret.

    Attributes:
        name: what stands in its place.
        pattern: its form; a group `s`, where there is one, is what is hidden.
        holds: a test that the hidden text must pass.
    """

    name: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = bool


def luhn(text: str) -> bool:
    """Tell whether the digits of `text` pass the check of payment cards.

    Source: ISO/IEC 7812-1.
    """
    digits = [int(digit) for digit in text if digit.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return bool(digits) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _card(text: str) -> bool:
    """Tell whether a number can be that of a payment card."""
    digits = re.sub(r"\D", "", text)
    return len(set(digits)) > 1 and luhn(digits)


def _account(text: str) -> bool:
    """Tell whether a text can be an international account number.

    Source: ISO 13616, the check of ISO 7064 by 97.
    """
    plain = text.replace(" ", "")
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _mixed(text: str) -> bool:
    """Tell whether a text has letters and digits."""
    return any(map(str.isdigit, text)) and any(map(str.isalpha, text))


def _dialled(text: str) -> bool:
    """Tell whether there are as many digits as a telephone number has.

    Source: E.164, at most 15.
    """
    return 7 <= sum(map(str.isdigit, text)) <= 15


_WORDS = r"(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|account[_-]?key|auth|token)"
_SEPARATED = r"(?:[ .\-/]?\(?\d{1,5}\)?){2,7}"

# in this order: credentials in a URL would otherwise be read as an e-mail address
FORMS = (
    Form("[private key]", PRIVATE_KEY),
    Form("[credentials]", re.compile(r"(?<=://)[^\s/@:]{1,80}:[^\s/@]{1,80}(?=@)")),
    Form("[key]", ACCESS_KEY),
    Form("[token]", TOKEN),
    Form("[token]", re.compile(r"(?i)\bbearer\s{1,4}(?P<s>[\w.~+/-]{16,}=*)"), _mixed),
    Form(
        "[secret]",
        re.compile(
            rf"(?i){_WORDS}[\"']?\s{{0,4}}[:=]\s{{0,4}}(?P<q>[\"'])(?P<s>[^\"'\s]{{6,200}})(?P=q)"
        ),
    ),
    Form(
        "[secret]",
        re.compile(rf"(?i){_WORDS}\s{{0,4}}[:=]\s{{0,4}}(?P<s>[\w+/=-]{{16,200}})(?![\w.(])"),
        _mixed,
    ),
    Form("[e-mail]", re.compile(r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}")),
    Form(
        "[account number]",
        re.compile(
            r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)", re.ASCII
        ),
        _account,
    ),
    Form(
        "[card number]",
        re.compile(
            r"(?<![\w.,+-])(?:"
            r"4\d{3}(?:[ -]?\d{4}){3}(?:[ -]?\d{3})?|4\d{12}"
            r"|(?:5[1-5]\d{2}|2(?:22[1-9]|2[3-9]\d|[3-6]\d{2}|7[01]\d|720))(?:[ -]?\d{4}){3}"
            r"|3[47]\d{2}[ -]?\d{6}[ -]?\d{5}|3(?:0[0-5]|[68]\d)\d[ -]?\d{6}[ -]?\d{4}"
            r"|(?:6011|64[4-9]\d|65\d{2}|62\d{2}|35(?:2[89]|[3-8]\d))(?:[ -]?\d{4}){3}"
            r"(?:[ -]?\d{1,3})?"
            r")(?![\w-]|[.,]\d)"
        ),
        _card,
    ),
    Form(
        "[phone]",
        re.compile(
            rf"(?i)\b(?:tel|telephone|phone|mobile|cell|fax|call)(?:\s?(?:no|nr|number))?"
            rf"[.:]{{0,2}}\s{{0,3}}"
            rf"(?P<s>(?:\+|\b00)?\(?\d{{1,5}}\)?{_SEPARATED})(?!\w)"
        ),
        _dialled,
    ),
    Form(
        "[phone]",
        re.compile(rf"(?<![\w.+/=-])\+[1-9]\d{{0,2}}[ .\-]?(?:\(0\))?{_SEPARATED}(?![\w-])"),
        _dialled,
    ),
    Form(
        "[phone]",
        re.compile(
            r"(?<![\w.+/=-])(?:1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[.-])[2-9]\d{2}[ .-]\d{4}"
            r"(?![\w-]|[.,]\d)"
        ),
    ),
    Form(
        "[long token]",
        re.compile(
            r"(?<![\w+/])(?=[a-z0-9+/]{0,200}[A-Z])(?=[A-Z0-9+/]{0,200}[a-z])(?=[A-Za-z+/]{0,200}\d)"
            r"[A-Za-z0-9+/]{40,}={0,2}"
        ),
    ),
)


def secrets(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, name) of what must be hidden, in order, none over another."""
    taken: list[tuple[int, int, str]] = []
    for form in FORMS:
        taken += [
            span
            for span in _spans_of(form, text)
            if all(span[1] <= start or end <= span[0] for start, end, _ in taken)
        ]
    return sorted(taken)


def _spans_of(form: Form, text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the spans of one kind of secret."""
    group: int | str = "s" if "s" in form.pattern.groupindex else 0
    for match in form.pattern.finditer(text):
        if form.holds(match[group]):
            yield (*match.span(group), form.name)


def mask(text: str, start: int = 0, end: int | None = None) -> str:
    """Return characters [start, end) of `text` with what must be hidden replaced by its name.

    What lies half outside is hidden whole: it is found in the text around the quote.
    """
    stop = len(text) if end is None else end
    parts, at = [], start
    for first, last, name in secrets(text):
        if last <= start or first >= stop:
            continue
        parts += [text[at : max(at, first)], name]
        at = max(at, last)
    return "".join([*parts, text[at:stop]])
