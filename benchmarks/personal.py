"""Personal data found in labelled texts: rote's finder and Presidio's pattern recognizers.

usage: python benchmarks/personal.py [--peers VENV] [--items N] [--seed S] [--out JSON]

VENV is an environment with Presidio, which users never need:

    python -m venv VENV && VENV/bin/pip install --no-deps -r benchmarks/requirements-presidio.txt

The texts are made here, with the label of every value by construction. Of each kind N texts hold one
valid value: check digits by python-stdnum, phone numbers of all countries that phonenumbers knows
(international, and US and GB ones as dialled there), half of them after a word that names the kind,
half after one that does not. As many texts hold no personal data but what looks like it: versions,
dates, ISBNs, order numbers, sums of money, hexadecimal, cards, IBANs whose check digits are wrong.

- rote: `Finder` with default settings, as the stage `personal` runs it.
- Presidio: AnalyzerEngine with the recognizers of a pattern for the same kinds, English, and a blank
  spaCy pipeline in place of a model (no names are looked for), so that words around a value count
  as they do by default. Every result counts, as by default.

A value is found when a find of its kind overlaps its label; a find that overlaps no label is wrong,
as is one of another kind. CPU seconds are of the search alone, one process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

CHILD = "ROTE_PERSONAL_CHILD"
LETTERS, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
CARDS = (("4", 16), ("51", 16), ("55", 16), ("34", 15), ("37", 15), ("6011", 16))
IBANS = {"DE": "#" * 18, "GB": "AAAA" + "#" * 14, "NL": "AAAA" + "#" * 10, "AT": "#" * 16,
         "CH": "#" * 17, "PL": "#" * 24, "DK": "#" * 14, "LU": "#" * 16}  # fmt: skip
NATIONAL = {"us.ssn": "###-##-####", "pl.pesel": "#" * 11, "kr.rrn": "######-#######",
            "es.dni": "########A", "es.nie": "X#######A", "in_.aadhaar": "#" * 12,
            "gb.nhs": "#" * 10, "de.idnr": "#" * 11, "ca.sin": "###-###-###",
            "se.personnummer": "######-####", "it.codicefiscale": ""}  # fmt: skip
NAMED = {"email": "Mail", "phone": "Phone", "ip": "IP address", "iban": "IBAN", "card": "Card"}
NAMED_NATIONAL = {"us.ssn": "SSN", "pl.pesel": "PESEL", "kr.rrn": "RRN", "es.dni": "DNI",
                  "es.nie": "NIE", "in_.aadhaar": "Aadhaar", "gb.nhs": "NHS number",
                  "de.idnr": "Steuer-ID", "ca.sin": "SIN", "se.personnummer": "Personnummer",
                  "it.codicefiscale": "Codice fiscale"}  # fmt: skip
PLAIN = ("She wrote it down as", "The note on the desk said", "What they left us was", "It was")
AFTER = ("and nobody asked why.", "before the meeting began.", "as far as anyone remembers.")
ENTITIES = {"EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "IP_ADDRESS": "ip",
            "IBAN_CODE": "iban", "CREDIT_CARD": "card"}  # fmt: skip
RECOGNIZERS = ("Email", "Phone", "Ip", "Iban", "CreditCard", "UsSsn", "PlPesel", "KrRrn", "EsNif",
               "EsNie", "InAadhaar", "Nhs", "DeTaxId", "CaSin", "SePersonnummer", "ItFiscalCode")  # fmt: skip
Label = dict[str, Any]


def filled(form: str, chance: random.Random) -> str:
    """Return a form with its signs drawn: # a digit, A a letter."""
    drawn = {"#": DIGITS, "A": LETTERS}
    return "".join(chance.choice(drawn[sign]) if sign in drawn else sign for sign in form)


def valid(form: str, module: str, chance: random.Random) -> str:
    """Return a drawn value of a form that python-stdnum takes."""
    check = import_module(f"stdnum.{module}").is_valid
    while not check(value := filled(form, chance)):
        pass
    return value


def fiscal_code(chance: random.Random) -> str:
    """Return an Italian fiscal code."""
    from stdnum.it import codicefiscale as code

    while True:
        day = f"{chance.randrange(100):02}{chance.choice('ABCDEHLMPRST')}{chance.randint(1, 28):02}"
        body = f"{filled('AAAAAA', chance)}{day}H501"
        if code.is_valid(value := body + code.calc_check_digit(body)):
            return value


def dated(module: str, chance: random.Random) -> str:
    """Return a number that begins with a date of birth."""
    while True:
        born = f"{chance.randint(50, 99)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
        rest = {"pl.pesel": "#####", "kr.rrn": "-1######", "se.personnummer": "-####"}[module]
        if import_module(f"stdnum.{module}").is_valid(value := born + filled(rest, chance)):
            return value


def national(module: str, chance: random.Random) -> str:
    """Return a national number."""
    if module == "it.codicefiscale":
        return fiscal_code(chance)
    if module in ("pl.pesel", "kr.rrn", "se.personnummer"):
        return dated(module, chance)
    return valid(NATIONAL[module].replace("X", chance.choice("XYZ")), module, chance)


def card(chance: random.Random, *, good: bool = True) -> str:
    """Return a card number, in groups of four half of the time."""
    from stdnum import luhn

    start, length = chance.choice(CARDS)
    body = start + filled("#" * (length - len(start) - 1), chance)
    check = int(luhn.calc_check_digit(body))
    value = f"{body}{check if good else (check + 1) % 10}"
    grouped = length == 16 and chance.random() < 0.5
    return " ".join(value[at : at + 4] for at in range(0, 16, 4)) if grouped else value


def iban(chance: random.Random, *, good: bool = True) -> str:
    """Return an IBAN of a country whose account numbers have no check digits of their own."""
    from stdnum import iban as code

    while True:
        country = chance.choice(list(IBANS))
        body = filled(IBANS[country], chance)
        check = code.calc_check_digits(f"{country}00{body}")
        value = f"{country}{check}{body}"
        if code.is_valid(value):
            return value if good else f"{country}{(int(check) + 1) % 97:02}{body}"


def phone(chance: random.Random) -> str:
    """Return a valid phone number of any country, or a US or GB one as it is dialled there."""
    import phonenumbers as numbers

    dialled = chance.random() < 0.5
    form = numbers.PhoneNumberFormat
    while True:
        region = chance.choice(("US", "GB") if dialled else sorted(numbers.SUPPORTED_REGIONS))
        known = numbers.example_number_for_type(region, numbers.PhoneNumberType.FIXED_LINE)
        if known is None:
            continue
        own = int(str(known.national_number)[:-3] + filled("###", chance))
        found = numbers.PhoneNumber(country_code=known.country_code, national_number=own)
        if numbers.is_valid_number_for_region(found, region):
            return numbers.format_number(found, form.NATIONAL if dialled else form.INTERNATIONAL)


def address(chance: random.Random) -> str:
    """Return a public IP address of a host."""
    while True:
        parts = [chance.randint(1, 223), *(chance.randint(1, 254) for _ in range(3))]
        if parts[0] not in (10, 100, 127, 169, 172, 192, 198, 203):
            return ".".join(map(str, parts))


def mail(chance: random.Random) -> str:
    """Return an e-mail address."""
    name, host = (filled("A" * chance.randint(3, 9), chance).lower() for _ in range(2))
    sign = chance.choice((".", "_", "+", ""))
    return (
        f"{name}{sign}{filled('##', chance)}@{host}.{chance.choice(('com', 'org', 'de', 'co.uk'))}"
    )


VALUES = {"email": mail, "phone": phone, "ip": address, "iban": iban, "card": card}


def harmless(chance: random.Random) -> tuple[str, str]:
    """Return something that only looks like personal data, and what stands before it."""
    return chance.choice(
        (
            lambda: ("version", filled("##.#.###", chance)),
            lambda: (
                "on",
                f"20{filled('##', chance)}-0{chance.randint(1, 9)}-1{filled('#', chance)}",
            ),
            lambda: ("ISBN", valid("978-#-##-######-#", "isbn", chance)),
            lambda: ("order", filled("########", chance)),
            lambda: ("a total of", filled("1,###,###.##", chance)),
            lambda: ("commit", filled("#a##f#e####b", chance)),
            lambda: ("lines", f"{filled('1###', chance)}-{filled('2###', chance)}"),
            lambda: ("card", card(chance, good=False)),
            lambda: ("account", iban(chance, good=False)),
            lambda: ("icon", f"logo@{chance.randint(2, 3)}x.png"),
            lambda: ("build", filled("20######.######", chance)),
            lambda: ("at", filled("1#:3#:2#.######", chance)),
        )
    )()


def labelled(items: int, seed: int) -> list[Label]:
    """Return the texts: kind, start and end of the value, and whether its name is before it.

    A text without personal data has no kind.
    """
    chance, made = random.Random(seed), []  # noqa: S311 - reproducible, no secret

    def put(kind: str | None, value: str, before: str, named: int) -> None:
        text = f"{before} {value} {chance.choice(AFTER)}"
        start = len(before) + 1
        end = start + len(value)
        made.append({"text": text, "kind": kind, "start": start, "end": end, "named": named})

    for kind, draw in VALUES.items():
        for n in range(items):
            put(kind, draw(chance), f"{NAMED[kind]}:" if n % 2 else chance.choice(PLAIN), n % 2)
    for n in range(items):
        module = list(NATIONAL)[n % len(NATIONAL)]
        named = n // len(NATIONAL) % 2
        before = f"{NAMED_NATIONAL[module]}:" if named else chance.choice(PLAIN)
        put("national_id", national(module, chance), before, named)
    for _ in range(items * (len(VALUES) + 1)):
        what, value = harmless(chance)
        put(None, value, f"{chance.choice(PLAIN)} {what}", 0)
    return made


def rote(texts: list[str]) -> list[list[tuple[str, int, int]]]:
    """Return the finds of each text: kind, start, end."""
    import pyarrow as pa

    from pipeline.config.personal import PersonalConfig
    from pipeline.filter.personal.finds import Finder

    found: list[list[tuple[str, int, int]]] = [[] for _ in texts]
    for row, find in Finder(PersonalConfig(), 1).finds(pa.array(texts, pa.large_string())):
        found[row].append((find.kind, find.start, find.end))
    return found


def presidio(texts: list[str]) -> list[list[tuple[str, int, int]]]:
    """Return the results of each text: kind, start, end."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, predefined_recognizers
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):  # type: ignore[misc]
        """A pipeline that splits words and no more."""

        def load(self) -> None:
            """Make the pipeline."""
            self.nlp = {"en": spacy.blank("en")}

    registry = RecognizerRegistry(supported_languages=["en"])
    for name in RECOGNIZERS:
        kind = getattr(predefined_recognizers, f"{name}Recognizer")
        registry.add_recognizer(kind(supported_language="en"))
    engine = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])
    return [
        [
            (ENTITIES.get(one.entity_type, "national_id"), one.start, one.end)
            for one in engine.analyze(text, language="en")
        ]
        for text in texts
    ]


def judged(labels: list[Label], found: list[list[Any]]) -> dict[str, Any]:
    """Return recall by kind and name, and in how many texts something else was found, too."""
    hit: Counter[tuple[str, int]] = Counter()
    wrong: Counter[str] = Counter()
    for label, finds in zip(labels, found, strict=True):
        for kind in {
            kind if start < label["end"] and end > label["start"] and label["kind"] else "beside"
            for kind, start, end in finds
        }:
            if kind == label["kind"]:
                hit[kind, label["named"]] += 1
            else:
                wrong["harmless" if label["kind"] is None else "other kind"] += 1
    asked = Counter((label["kind"], label["named"]) for label in labels if label["kind"])
    recall = {
        f"{kind}, {'named' if named else 'not named'}": hit[kind, named] / asked[kind, named]
        for kind, named in asked
    }
    return {"recall": recall, "wrong": dict(wrong), "harmless": len(labels) - asked.total()}


def be_child() -> None:
    """Run one side and leave its finds and its CPU seconds."""
    side, place, out = json.loads(os.environ[CHILD])
    texts = json.loads(Path(place).read_text())
    run = {"rote": rote, "presidio": presidio}[side]
    run(texts[:50])  # imports, patterns, kernels
    begun = time.process_time()
    found = run(texts)
    took = time.process_time() - begun
    Path(out).write_text(json.dumps({"cpu_seconds": took, "found": found}))


def main() -> None:
    """Read the arguments, make the texts, run both sides, show, record."""
    if CHILD in os.environ:
        be_child()
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, metavar="VENV")
    parser.add_argument("--items", type=int, default=1100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    import tempfile

    from machine import machine

    labels = labelled(asked.items, asked.seed)
    result: dict[str, Any] = {"machine": machine(), "items": asked.items, "seed": asked.seed}
    pythons = {"rote": sys.executable}
    if asked.peers:
        pythons["presidio"] = str(asked.peers.absolute() / "bin" / "python")
    with tempfile.TemporaryDirectory() as folder:
        place, out = Path(folder, "texts.json"), Path(folder, "found.json")
        place.write_text(json.dumps([label["text"] for label in labels]))
        for side, python in pythons.items():
            task = json.dumps([side, str(place), str(out)])
            subprocess.run([python, __file__], env={**os.environ, CHILD: task}, check=True)
            told = json.loads(out.read_text())
            figures = judged(labels, told.pop("found"))
            result[side] = {**figures, **told}
            print(side, json.dumps(result[side]))
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
