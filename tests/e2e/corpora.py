"""Small corpora with planted copies, in every format; all text is generated from a seed."""

import csv
import datetime
import decimal
import gzip
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MARKER = "Zqxwvutmarker"
"""A word that is in every document of `every_format` and nowhere else on the machine."""

SYLLABLES = [first + second for first in "bcdfghjklmnprstvwxyz" for second in "aeiou"]
HAN = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜"


class Prose:
    """An endless supply of different texts from one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)  # noqa: S311 - text for a test
        self.vocabulary = sorted(
            {
                "".join(self.random.choices(SYLLABLES, k=self.random.randint(2, 4)))
                for _ in range(900)
            }
        )

    def words(self, count):
        """Return that many words."""
        return self.random.choices(self.vocabulary, k=count)

    def text(self, count):
        """Return a text of that many words, in sentences."""
        return sentences(self.words(count))

    def han(self, count):
        """Return that many Han characters, each a word by itself."""
        return "".join(self.random.choices(HAN, k=count))

    def edited(self, text, changes):
        """Return the text with that many words, far from one another, changed for short ones."""
        words = text.split(" ")
        for number in range(changes):
            words[(2 * number + 1) * len(words) // (2 * changes)] = (
                f"x{self.random.randrange(1000)}"
            )
        return " ".join(words)


def sentences(words):
    """Return words as sentences of ten."""
    parts = [words[start : start + 10] for start in range(0, len(words), 10)]
    return " ".join(" ".join([part[0].capitalize(), *part[1:]]) + "." for part in parts)


@dataclass
class Corpus:
    """A corpus on disk and what was put into it.

    records: the records of each shard in order, as written: Arrow tables or lists of objects.
    rejected: per shard the rows that are no documents, with their reason and bytes.
    """

    folder: Path
    records: dict[str, Any] = field(default_factory=dict)
    rejected: dict[str, dict[int, tuple[str, bytes | None]]] = field(default_factory=dict)

    @property
    def rows(self):
        """The number of rows of all shards."""
        return sum(len(records) for records in self.records.values())

    def texts(self):
        """Return the text of every document by shard and row."""
        found = {}
        for shard, records in self.records.items():
            own = records["text"].to_pylist() if isinstance(records, pa.Table) else records
            for row, record in enumerate(own):
                if row not in self.rejected.get(shard, {}):
                    text = record["text"] if isinstance(record, dict) else record
                    found[shard, row] = text
        return found


def small(folder, *, shards=4, rows=20, seed=1):
    """Write JSON Lines and Parquet shards with copies in and across them; return the folder."""
    prose = Prose(seed)
    pool = [prose.text(120) for _ in range(10)]
    folder.mkdir(parents=True)
    for shard in range(shards):
        records = []
        for row in range(rows):
            text = prose.text(120)
            if row % 4 == 1:
                text = prose.random.choice(pool)
            elif row % 4 == 2:
                text = prose.edited(prose.random.choice(pool), 1 + row % 3)
            records.append({"id": f"{shard}-{row}", "source": f"site{row % 3}/page", "text": text})
        if shard == 0:
            records[3]["text"] = None
        write(folder / f"shard-{shard}.{'parquet' if shard % 2 else 'jsonl'}", records)
    return folder


def write(path, records):
    """Write one shard of objects, as JSON Lines (packed or not) or Parquet by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
        return
    lines = [
        record if isinstance(record, bytes) else json.dumps(record, ensure_ascii=False).encode()
        for record in records
    ]
    data = b"".join(line + b"\n" for line in lines)
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    elif path.suffix == ".zst":
        data = pa.compress(data, "zstd", asbytes=True)
    path.write_bytes(data)


def every_format(folder):
    """Write a corpus in every format, with nested columns, bad rows and copies across files."""
    prose = Prose(7)
    corpus = Corpus(folder)
    pool = [f"{MARKER} {prose.text(110)}" for _ in range(8)]
    _columnar(corpus, prose, pool)
    _json_lines(corpus, prose, pool)
    _csv(corpus, prose)
    _plain(corpus, pool)
    return corpus


def _some_texts(prose, pool, count):
    """Return texts of which a third each are new, exact copies and near copies from the pool."""
    makers = (
        lambda: f"{MARKER} {prose.text(100)}",
        lambda: prose.random.choice(pool),
        lambda: prose.edited(prose.random.choice(pool), prose.random.randint(1, 2)),
    )
    return [makers[row % 3]() for row in range(count)]


def _columnar(corpus, prose, pool):
    for name, bad in (("deep/part-0.parquet", True), ("deep/part-1.arrow", False)):
        texts = _some_texts(prose, pool, 24)
        if bad:
            texts[4], texts[9] = None, ""
            corpus.rejected[name] = {4: ("null_text", None), 9: ("empty_text", b"")}
        table = rich_table(texts)
        path = corpus.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(table, path, row_group_size=7)
        else:
            with pa.ipc.new_file(path, table.schema) as writer:
                writer.write_table(table, max_chunksize=7)
        corpus.records[name] = table


def rich_table(texts):
    """Return a table with these texts between columns of many types, some nested, with nulls."""
    count = len(texts)
    places = range(count)
    moment = datetime.datetime(2024, 2, 29, 23, 59, 59, 123456, datetime.UTC)
    return pa.table(
        {
            "when": pa.array(
                [moment + datetime.timedelta(hours=row) for row in places],
                pa.timestamp("us", "UTC"),
            ),
            "id": [f"doc-{count}-{row}" for row in places],
            "price": pa.array(
                [decimal.Decimal(row * 1001) / 1000 if row % 5 else None for row in places],
                pa.decimal128(12, 3),
            ),
            "text": pa.array(texts, pa.string()),
            "source": pc.dictionary_encode(pa.array([f"site{row % 2}" for row in places])),
            "tags": pa.array([["a", None, "b"][: row % 4] if row % 6 else None for row in places]),
            "meta": pa.array(
                [
                    {"lang": "xx", "inner": {"n": row, "scores": [0.5, row / 3]}}
                    if row % 7
                    else None
                    for row in places
                ],
                pa.struct(
                    [
                        ("lang", pa.string()),
                        (
                            "inner",
                            pa.struct([("n", pa.int16()), ("scores", pa.list_(pa.float32()))]),
                        ),
                    ]
                ),
            ),
            "raw": pa.array([bytes([row, 255, 0]) for row in places], pa.binary()),
            "kinds": pa.array([[("k", row)] for row in places], pa.map_(pa.string(), pa.int64())),
            "day": pa.array(
                [datetime.date(2020, 1, 1) + datetime.timedelta(row) for row in places]
            ),
        }
    )


def _json_lines(corpus, prose, pool):
    for name in ("lines/a.jsonl", "lines/b.jsonl.gz", "lines/c.jsonl.zst"):
        texts = _some_texts(prose, pool, 12)
        records: list[dict[str, Any] | bytes] = [
            {
                "id": f"{name}-{row}",
                "text": text,
                "n": row,
                "deep": {"x": [row, row + 1], "y": None},
            }
            for row, text in enumerate(texts)
        ]
        if name.endswith(".jsonl"):
            records[2] = b'{"id": "bad", "text": "' + MARKER.encode() + b' \xff\xfe"}'
            records[5] = f'{{"id": "cut", "text": "{MARKER} not'.encode()
            records[8] = {"id": "number", "text": 17}
            corpus.rejected[name] = {
                2: ("invalid_utf8", records[2]),
                5: ("not_json", records[5]),
                8: ("not_a_string", b"17"),
            }
        write(corpus.folder / name, records)
        corpus.records[name] = records


def _csv(corpus, prose):
    texts = [f"{MARKER} {prose.text(90)}" for _ in range(6)]
    texts += texts[:3]
    records = [
        {"id": f"{row:03}", "text": f'{text}, "quoted"\nand more', "n": f"{row}.0"}
        for row, text in enumerate(texts)
    ]
    path = corpus.folder / "lines" / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["id", "text", "n"])
        writer.writeheader()
        writer.writerows(records)
    corpus.records["lines/a.csv"] = records


def _plain(corpus, pool):
    for number, text in enumerate((pool[0], f"{MARKER} alone in a file of its own, not a copy")):
        path = corpus.folder / "notes" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        corpus.records[f"notes/{number}.txt"] = [{"text": text}]


def planted(count=300):
    """Return texts: exact, near and contained copies, short, Han, template and wordless ones."""
    prose = Prose(3)
    template = prose.words(90)
    base = [prose.text(prose.random.randint(60, 160)) for _ in range(count // 8)]
    makers = [
        lambda: prose.text(prose.random.randint(8, 200)),
        lambda: prose.random.choice(base),
        lambda: prose.edited(prose.random.choice(base), prose.random.randint(1, 6)),
        lambda: _inside(prose, prose.random.choice(base)),
        lambda: sentences([*template[:60], *prose.words(8), *template[60:]]),
        lambda: " ".join(
            prose.random.choices(["yes", "no", "Yes", "thanks"], k=prose.random.randint(1, 4))
        ),
        lambda: prose.han(prose.random.randint(3, 130)),
        lambda: prose.random.choice(base).upper(),
        lambda: prose.random.choice(["...", "!?", "🙂🙂", "\n\t-"]),
        lambda: prose.random.choice(base) + " " + prose.random.choice(base),
    ]
    fixed = [*base, *(text for k in (12, 20, 33) for text in _at_the_thresholds(prose, k))]
    texts = [*fixed, *(prose.random.choice(makers)() for _ in range(count - len(fixed)))]
    prose.random.shuffle(texts)
    return texts


def _at_the_thresholds(prose, k):
    """Return a text of 10k different shingles, and two of its beginnings at Jaccard 1/2 and 4/5."""
    words = prose.random.sample(prose.vocabulary, 10 * k + 4)
    return [" ".join(words[: share * k + 4]) for share in (10, 5, 8)]


def _inside(prose, text):
    """Return a part of a text."""
    words = text.split(" ")
    begin = prose.random.randrange(len(words) // 3)
    return " ".join(words[begin : begin + max(10, 2 * len(words) // 3)])
