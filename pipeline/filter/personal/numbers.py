"""Tell numbers of persons from other numbers, by form, check digits and the words before them.

Each function takes a few bytes around a candidate, one character a byte, and returns what is found
as (first, end) in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

Found = tuple[int, int]
LEAST_GROUPS = 4  # written out in an IPv6 address that is told from other things with colons

_CARD = re.compile(
    r"(?<![\w.,+/=#-])(?:"
    r"4\d{3}(?:[ -]?\d{4}){3}|4\d{12}"
    r"|(?:5[1-5]\d{2}|2(?:22[1-9]|2[3-9]\d|[3-6]\d{2}|7[01]\d|720))(?:[ -]?\d{4}){3}"
    r"|3[47]\d{2}[ -]?\d{6}[ -]?\d{5}|3(?:0[0-5]|[68]\d)\d[ -]?\d{6}[ -]?\d{4}"
    r"|(?:6011|64[4-9]\d|65\d{2}|35(?:2[89]|[3-8]\d))(?:[ -]?\d{4}){3}"
    r")(?![\w-]|[.,]\d)"
)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_IPV4 = re.compile(r"(?<![\w.-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{10,39}(?![\w:]|\.\d)")
_VERSION = re.compile(r"(?i)(?:\bv|version|release|section|chapter|oid)[\s:=.]{0,3}$")
_DIALLED = re.compile(
    r"(?i)\b(?:tel|telephone|phone|ph|mobile|mob|cell|fax|call|dial|whatsapp|hotline|contact)\b"
    r"[^\d\n]{0,16}$"
)
_SAME = re.compile(r"\D")
_PART = re.compile(r"[\w/=#$%&@.,:_-]$")  # before a number: it is part of something else
_GROUPED = re.compile(
    r"\d{2,5}(?P<s>[ .-])\d{2,5}(?:(?P=s)\d{2,5}){1,4}|(?:\d[ .-]?)?\(\d{2,5}\)[ .-]?\d{2,5}"
    r"(?:[ .-]\d{2,5}){0,4}"
)
_A_DATE = re.compile(r"(?:19|20)\d{2}[-./ ](?:0?[1-9]|1[0-2])[-./ ]|\d{1,2}[-./]\d{1,2}[-./]\d{4}")


@dataclass(frozen=True)
class National:
    """A national number of persons that has a check digit, or a strict form.

    Attributes:
        module: of python-stdnum, which validates it.
        form: how it is written.
        said: what must stand before it where the form alone is weak; None where it is not.
    """

    module: str
    form: re.Pattern[str]
    said: re.Pattern[str] | None = None


def _said(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?i)(?<![^\W\d_])(?:{words})(?![^\W\d_])[^\n]{{0,20}}$")


_EDGE, _END = r"(?<![\w.,/+-])", r"(?![\w-]|[.,/]\d)"
NATIONAL = (
    National("us.ssn", re.compile(rf"{_EDGE}\d{{3}}-\d{{2}}-\d{{4}}{_END}"), _said("ssn|social")),
    National(
        "fr.nir",
        re.compile(rf"{_EDGE}[12] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{{3}} ?\d{{3}} ?\d\d{_END}"),
    ),
    National(
        "it.codicefiscale",
        re.compile(rf"{_EDGE}[A-Z]{{6}}\d\d[A-EHLMPR-T]\d\d[A-Z]\d{{3}}[A-Z]{_END}"),
    ),
    National("br.cpf", re.compile(rf"{_EDGE}\d{{3}}\.\d{{3}}\.\d{{3}}-\d\d{_END}")),
    National("cn.ric", re.compile(rf"{_EDGE}\d{{17}}[\dX]{_END}")),
    National("kr.rrn", re.compile(rf"{_EDGE}\d{{6}}-[0-9]\d{{6}}{_END}")),
    National("mx.curp", re.compile(rf"{_EDGE}[A-Z]{{4}}\d{{6}}[HM][A-Z]{{5}}[A-Z\d]\d{_END}")),
    National("ch.ssn", re.compile(rf"{_EDGE}756\.\d{{4}}\.\d{{4}}\.\d\d{_END}")),
    National("be.nn", re.compile(rf"{_EDGE}\d\d\.\d\d\.\d\d-\d{{3}}\.\d\d{_END}")),
    National("pl.pesel", re.compile(rf"{_EDGE}\d{{11}}{_END}"), _said("pesel")),
    National(
        "de.idnr",
        re.compile(rf"{_EDGE}\d\d ?\d{{3}} ?\d{{3}} ?\d{{3}}{_END}"),
        _said("steuer\\w*|idnr|tin"),
    ),
    National(
        "se.personnummer",
        re.compile(rf"{_EDGE}(?:\d\d)?\d{{6}}-\d{{4}}{_END}"),
        _said("personnummer|pnr"),
    ),
    National(
        "in_.aadhaar", re.compile(rf"{_EDGE}\d{{4}} ?\d{{4}} ?\d{{4}}{_END}"), _said("aadhaar")
    ),
    National("nl.bsn", re.compile(rf"{_EDGE}\d{{9}}{_END}"), _said("bsn|burgerservicenummer")),
    National("gb.nhs", re.compile(rf"{_EDGE}\d{{3}} ?\d{{3}} ?\d{{4}}{_END}"), _said("nhs")),
    National("ca.sin", re.compile(rf"{_EDGE}\d{{3}}[ -]?\d{{3}}[ -]?\d{{3}}{_END}"), _said("sin")),
    National("es.dni", re.compile(rf"{_EDGE}\d{{8}}-?[A-Z]{_END}"), _said("dni|nif")),
    National("es.nie", re.compile(rf"{_EDGE}[XYZ]-?\d{{7}}-?[A-Z]{_END}"), _said("nie")),
)


class Numbers:
    """A finder of numbers of persons in a few characters around a candidate."""

    def __init__(self, kinds: Sequence[str], regions: Sequence[str]) -> None:
        import phonenumbers
        from stdnum import iban, luhn

        self._kinds, self._regions = frozenset(kinds), tuple(regions)
        self._phones, self._iban, self._luhn = phonenumbers, iban, luhn
        self._national: list[tuple[National, ModuleType]] = [
            (one, import_module(f"stdnum.{one.module}")) for one in NATIONAL
        ]

    def in_number(self, around: str, first: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Yield (first, end, kind) in a run of digits with signs between them, surest first."""
        if "card" in self._kinds:
            yield from ((a, b, "card") for a, b in self._cards(around, first, end))
        if "national_id" in self._kinds:
            yield from ((a, b, "national_id") for a, b in self._of_persons(around, first, end))
        if "ip" in self._kinds:
            yield from ((a, b, "ip") for a, b in _ipv4(around, first, end))
        if "phone" in self._kinds:
            yield from ((a, b, "phone") for a, b in self._dialled(around, first, end))

    def in_word(self, around: str, first: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Yield (first, end, kind) in capitals and digits."""
        if "iban" in self._kinds:
            for match in _IBAN.finditer(around, first, end):
                stop = self._iban_end(match[0])
                if stop:
                    yield match.start(), match.start() + stop, "iban"
        if "national_id" in self._kinds:
            yield from ((a, b, "national_id") for a, b in self._of_persons(around, first, end))

    def in_colons(self, around: str, first: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Yield (first, end, kind) in groups of hexadecimal digits."""
        if "ip" not in self._kinds:
            return
        match = _IPV6.search(around, max(0, first - 1), min(len(around), end + 1))
        if match is None:
            return
        try:
            address = IPv6Address(match[0])
        except AddressValueError:
            return
        if address.is_global and sum(map(bool, match[0].split(":"))) >= LEAST_GROUPS:
            yield *match.span(), "ip"

    def _iban_end(self, text: str) -> int:
        """Return how many characters of a text are an IBAN, 0 for none: words may follow it."""
        while text:
            if self._iban.is_valid(text):
                return len(text)
            text = text[:-1].rstrip() if " " not in text else text.rpartition(" ")[0]
            if len(text) < len("NO9386011117947"):
                return 0
        return 0

    def _cards(self, around: str, first: int, end: int) -> Iterator[Found]:
        for match in _CARD.finditer(around, first):
            digits = _SAME.sub("", match[0])
            if match.end() <= end and len(set(digits)) > 1 and self._luhn.is_valid(digits):
                yield match.span()

    def _of_persons(self, around: str, first: int, end: int) -> Iterator[Found]:
        for one, module in self._national:
            for match in one.form.finditer(around, first):
                said = one.said is None or one.said.search(around, 0, match.start())
                if match.end() <= end + 1 and said and module.is_valid(match[0]):
                    yield match.span()

    def _dialled(self, around: str, first: int, end: int) -> Iterator[Found]:
        """Yield phone numbers: of every country with a plus, else as they are written at home."""
        run = around[first:end]
        digits = sum(map(str.isdigit, run))
        if run.startswith("+"):
            yield from self._matched(around, first, end, None)
            return
        said = _DIALLED.search(around, 0, first) is not None
        if not said and (digits > 14 or not _looks_dialled(around, first, end)):
            return
        for region in self._regions:
            found = list(self._matched(around, first, end, region))
            if found:
                yield from found
                return

    def _matched(self, around: str, first: int, end: int, region: str | None) -> Iterator[Found]:
        """Yield what the library finds, at its leniency VALID, that lies in the run."""
        matcher = self._phones.PhoneNumberMatcher(
            around, region, leniency=self._phones.Leniency.VALID, max_tries=64
        )
        for match in matcher:
            if match.start >= first - 1 and match.start < end:
                yield match.start, match.end


def _looks_dialled(around: str, first: int, end: int) -> bool:
    """Tell whether a number without a plus and without a word before it is written as a phone's."""
    run = around[first:end]
    if _PART.search(around[:first]) or _A_DATE.search(run):
        return False
    return _GROUPED.fullmatch(run) is not None


def _ipv4(around: str, first: int, end: int) -> Iterator[Found]:
    """Yield public IPv4 addresses of hosts; a run of small numbers is a version or a section."""
    for match in _IPV4.finditer(around, first):
        parts = match[0].split(".")
        if match.end() > end or sum(len(part) > 1 for part in parts) < 2 or parts[3] == "0":
            continue
        if _VERSION.search(around, 0, match.start()):
            continue
        try:
            address = IPv4Address(match[0])
        except AddressValueError:
            continue
        if address.is_global:
            yield match.span()
