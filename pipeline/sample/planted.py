"""Planted cases: texts whose copies are counted exactly, because they were written here.

The dose families are for the forecast: a passage of 52 to 60 unique words at 1 to 128 occurrences.
It is longer than a window (50 words), so its windows repeat exactly `dose` times. In half of the
families the document is the passage and nothing else; in the other half each copy has an opening
and a closing sentence of its own, which together are short enough that two such documents keep a
Jaccard above 0.5: a family then holds together at any dose, also where a window in more than 64
documents no longer links.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.sample import cjk
from pipeline.sample.documents import PlantedCase, SampleDocument
from pipeline.sample.prose import Writer

DOSES = (1, 2, 4, 8, 16, 32, 64, 128)
FAMILIES = 20  # of each dose, in a sample of 10 MB or more
EDITS = ("insert", "delete", "substitute", "append")
RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
CONTAINED = 6
PASSAGE_WORDS = (52, 60)
FRAME_WORDS = (5, 9)
NEAR_WORDS = (236, 246)

# Documents of fewer than five words: the second of each differs in case or marks only.
SHORT = (
    ("Fixed a typo.", "fixed a TYPO", "Fixed a typo."),
    ("See the attic ledger.", "See the attic ledger", "See the attic ledger."),
    ("No.", "no", "No.", "No."),
)
WORDLESS = ("--- *** ---", "--- *** ---", "...")

Case = tuple[list[SampleDocument], PlantedCase]


def plant(seed: int, megabytes: int) -> tuple[list[SampleDocument], list[PlantedCase]]:
    """Return the planted documents and the record of them.

    Under 10 MB there are fewer dose families.
    """
    documents: list[SampleDocument] = []
    record: list[PlantedCase] = []
    families = max(2, min(FAMILIES, 2 * megabytes))
    for rows, case in (
        *_doses(seed, families),
        *_near(seed),
        *_contained(seed),
        *_cjk(),
        *_edges(),
    ):
        documents += rows
        record.append(case)
    return documents, record


def _doses(seed: int, families: int) -> Iterator[Case]:
    """Yield the dose families."""
    for dose in DOSES:
        for number in range(families):
            yield _family(seed, dose, number)


def _family(seed: int, dose: int, number: int) -> Case:
    """Return one dose family: even numbers are whole documents, odd ones framed passages."""
    name = f"dose-{dose:03d}/{number:02d}"
    passage = Writer(f"{seed}/{name}").passage(*PASSAGE_WORDS)
    whole = number % 2 == 0
    rows = []
    for copy in range(dose):
        doc_id = f"planted/{name}/{copy:03d}"
        text = passage if whole else _framed(passage, Writer(f"{seed}/{doc_id}"))
        rows.append(_document(doc_id, text, f"planted/dose-{dose:03d}"))
    kind = "whole" if whole else "passage"
    return rows, PlantedCase(name, kind, dose, tuple(row.id for row in rows))


def _framed(passage: str, writer: Writer) -> str:
    """Return a passage between two sentences of its own."""
    return f"{writer.passage(*FRAME_WORDS)} {passage} {writer.passage(*FRAME_WORDS)}"


def _near(seed: int) -> Iterator[Case]:
    """Yield pairs of a text and an edited copy, for each edit and rate."""
    for edit in EDITS:
        for rate in RATES:
            name = f"near/{edit}-{rate:g}"
            writer = Writer(f"{seed}/{name}")
            text = writer.passage(*NEAR_WORDS)
            changed = " ".join(_edited(text.split(" "), edit, rate, writer))
            rows = [
                _document(f"planted/{name}/{part}", body, "planted/near")
                for part, body in (("first", text), ("second", changed))
            ]
            yield rows, PlantedCase(name, "near", 1, (rows[0].id, rows[1].id), f"{edit} {rate:g}")


def _edited(words: list[str], edit: str, rate: float, writer: Writer) -> list[str]:
    """Return the words after round(rate x words) edits; new words are invented names."""
    count = max(1, round(rate * len(words)))
    if edit == "append":
        return words + [writer.name() for _ in range(count)]
    places: set[int] = set()
    while len(places) < count:
        places.add(writer.below(len(words)))
    out: list[str] = []
    for place, word in enumerate(words):
        if place in places and edit != "delete":
            out.append(writer.name())
        if place not in places or edit == "insert":
            out.append(word)
    return out


def _contained(seed: int) -> Iterator[Case]:
    """Yield pairs of a text and a longer one that contains it."""
    for number in range(CONTAINED):
        name = f"contained/{number}"
        writer = Writer(f"{seed}/{name}")
        inner = writer.passage(110, 130)
        outer = f"{writer.passage(140, 160)} {inner} {writer.passage(140, 160)}"
        rows = [
            _document(f"planted/{name}/{part}", body, "planted/contained")
            for part, body in (("inner", inner), ("outer", outer))
        ]
        yield rows, PlantedCase(name, "contained", 2, (rows[0].id, rows[1].id))


def _cjk() -> Iterator[Case]:
    """Yield each passage and its near copy; the first three times, the second as a text file."""
    for language, passages in cjk.PASSAGES.items():
        for number, text in enumerate(passages):
            name = f"{language}/{number}"
            copies = 3 if number == 0 else 1
            rows = [
                _document(f"planted/{name}/{copy}", text, f"planted/{language}")
                for copy in range(copies)
            ]
            if number == 1:
                rows = [_note(f"notes/{language}.txt", text)]
            yield rows, PlantedCase(name, "cjk", copies, tuple(row.id for row in rows))
            old, new = cjk.CHANGES[language][number]
            near = _document(f"planted/{name}/near", text.replace(old, new), f"planted/{language}")
            detail = f"near copy of {rows[0].id}"
            yield [near], PlantedCase(f"{name}/near", "near", 1, (rows[0].id, near.id), detail)


def _edges() -> Iterator[Case]:
    """Yield short and wordless texts, and empty and null ones, which belong in `rejected/`."""
    for number, texts in enumerate(SHORT):
        rows = [
            _document(f"planted/short/{number}/{i}", text, "planted/short")
            for i, text in enumerate(texts)
        ]
        dose = texts.count(texts[0])
        yield rows, PlantedCase(f"short/{number}", "short", dose, tuple(row.id for row in rows))
    rows = [
        _document(f"planted/wordless/{i}", text, "planted/short") for i, text in enumerate(WORDLESS)
    ]
    yield rows, PlantedCase("wordless", "wordless", 2, tuple(row.id for row in rows))
    for kind, text in (("empty", ""), ("null", None)):
        rows = [
            SampleDocument(f"planted/{kind}/{i}", text, f"planted/{kind}", shard=shard)
            for i, shard in enumerate(
                ("part-01.parquet", "part-03.parquet", "lines-00.jsonl", "lines-01.jsonl.gz")
            )
        ]
        yield rows, PlantedCase(kind, kind, len(rows), tuple(row.id for row in rows))


def _document(doc_id: str, text: str, source: str) -> SampleDocument:
    """Return a planted document."""
    return SampleDocument(doc_id, text, source, tags=("planted",))


def _note(path: str, text: str) -> SampleDocument:
    """Return a planted document that is a text file."""
    return SampleDocument(path, text, path, tags=("planted",), shard=path)
