"""What skewed text costs beside ordinary text of the same size, each kind at a hundredth of the worst.

usage: python -m benchmarks.skew [--kinds template,copies,...] [--scale 1] [--work FOLDER] [--out JSON]

Each corpus goes through `rote run --no-score` in a process of its own, under the budget of its kind.
CPU seconds are those of the process, less what ten rows take, and by stage from the log of events.
Ordinary text is random words, as many rows of as many words. The kinds:

  template   one-line messages of one template, near copies at a Jaccard of about 0.7: none may go
  copies     one line over and over: all but one must go
  bucket     near copies whose sets of shingles together are larger than the budget, all but some
             of them in one bucket of each band: all but one must go
  cap        near copies in groups of the size up to which a bucket is paired in full: one each stays
  chain      a text in overlapping pieces, each near the next: one cluster over all documents
  passages   documents that share half with the one before and half with the next: one family, no pair
  document   one document of 10 MB, beside as much ordinary text
  longest    one of 100 MB

`--scale` multiplies the rows; a record that is there keeps the kinds that are not asked for. Beside the cost stands what must hold of the output; what does not is
named at the end, with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.processes import CHILD, answer_of, command

SHARDS = 4
VOCABULARY = 15_000
LINE = (
    "Dear customer of our shop in the old town your order number {} has been shipped today and will"
    " arrive at your address within three working days thank you for buying from our store"
)
CAP = 128  # `near.bucket_cap`, by default
TABLES = ("buckets", "candidates", "pairs", "links", "windows", "kept", "removed")
WRONG = {
    "rows_lost": "select {rows} - {rejected} - {kept} - {removed}",
    "removed_without_keeper": """
        select count(*) from documents as d left join documents as k on d.keeper = k.row_key
        where d.keeper is not null and (k.row_key is null or k.keeper is not null)""",
    "pairs_at_0.8_both_kept": """
        select count(*) from pairs as p inner join documents as a on p.a = a.row_key
        inner join documents as b on p.b = b.row_key
        where p.jaccard >= 0.8 and a.keeper is null and b.keeper is null""",
}


class Words:
    """Words that are drawn with frequencies as those of a language, the same for the same seed."""

    def __init__(self, seed: int = 1) -> None:
        self._draw = np.random.default_rng(seed)
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        self._words = [
            "".join(self._draw.choice(letters, size))
            for size in self._draw.integers(3, 10, VOCABULARY)
        ]

    def some(self, count: int) -> list[str]:
        """Return so many words, frequent ones more often."""
        places = self._draw.exponential(2_500, count).astype(np.int64)
        return [self._words[place] for place in np.minimum(places, VOCABULARY - 1).tolist()]

    def edited(self, words: list[str], edits: int) -> list[str]:
        """Return words of which some are others."""
        own = list(words)
        for place in self._draw.integers(0, len(words), edits).tolist():
            own[place] = self.some(1)[0]
        return own


def ordinary(words: Words, rows: int, length: int) -> Iterator[str]:
    """Yield texts that have nothing in common but words."""
    for _ in range(rows):
        yield " ".join(words.some(length))


def template(_: Words, rows: int, __: int) -> Iterator[str]:
    """Yield lines that differ in a number."""
    return (LINE.format(number) for number in range(rows))


def copies(words: Words, rows: int, length: int) -> Iterator[str]:
    """Yield one line over and over."""
    line = " ".join(words.some(length))
    return (line for _ in range(rows))


def bucket(words: Words, rows: int, length: int) -> Iterator[str]:
    """Yield near copies of one text, three words of each exchanged."""
    text = words.some(length)
    return (" ".join(words.edited(text, 3)) for _ in range(rows))


def cap(words: Words, rows: int, length: int) -> Iterator[str]:
    """Yield groups of near copies, each as large as a bucket that is paired in full."""
    texts = [words.some(length) for _ in range(-(-rows // CAP))]
    return (" ".join(words.edited(texts[row // CAP], 1)) for row in range(rows))


def chain(words: Words, rows: int, length: int) -> Iterator[str]:
    """Yield pieces of a long text that begin five words after one another."""
    text = words.some(5 * rows + length)
    return (" ".join(text[5 * row : 5 * row + length]) for row in range(rows))


def passages(words: Words, rows: int, length: int) -> Iterator[str]:
    """Yield documents of two passages, the second being the first one of the next document."""
    parts = [" ".join(words.some(length // 2)) for _ in range(rows + 1)]
    return (f"{parts[row]} {parts[row + 1]}" for row in range(rows))


def document(words: Words, _: int, length: int) -> Iterator[str]:
    """Yield one text."""
    yield " ".join(words.some(length))


@dataclass(frozen=True)
class Kind:
    """A kind of skewed corpus.

    Attributes:
        texts: makes its texts of words, a number of rows and a number of words.
        rows: how many.
        words: of each, on average.
        memory: the budget in MB, of a run over `rows`.
        holds: what must be true of the finished run, by its name: SQL that counts what is wrong,
            with {rows} for the rows.
        beside: rows of the ordinary text of the same size; as many where it is 0.
    """

    texts: Callable[[Words, int, int], Iterable[str]]
    rows: int
    words: int
    memory: int
    holds: dict[str, str]
    beside: int = 0


ORDINARY = "ordinary"
ALL_STAY = {"removed": "select count(keeper) from documents"}
ONE_STAYS = {"kept_but_one": "select count(*) - 1 from documents where keeper is null"}
FAMILY = {"families_but_one": "select count(distinct family) - 1 from documents"}
KINDS = {
    "template": Kind(template, 100_000, 31, 900, ALL_STAY),
    "copies": Kind(
        copies, 1_000_000, 12, 1_200,
        ONE_STAYS | {"wrong_counts": "select count(*) from documents where exact_count <> {rows}"},
    ),
    "bucket": Kind(bucket, 120_000, 375, 800, ONE_STAYS),
    "cap": Kind(
        cap, 100_096, 100, 900,
        {"kept_but_one_each": f"""
            select count(*) - ({{rows}} + {CAP - 1}) // {CAP} from documents where keeper is null"""},
    ),
    "chain": Kind(
        chain, 60_000, 200, 900,
        FAMILY | {"clusters_but_one": "select count(distinct cluster) - 1 from documents"},
    ),
    "passages": Kind(
        passages, 100_000, 120, 900,
        FAMILY | ALL_STAY | {"pairs": "select count(*) from pairs"},
    ),
    "document": Kind(document, 1, 1_570_000, 900, ALL_STAY, beside=4_000),
    "longest": Kind(document, 1, 15_700_000, 2_600, ALL_STAY, beside=40_000),
    ORDINARY: Kind(ordinary, 0, 0, 0, ALL_STAY),
}  # fmt: skip


def write(folder: Path, texts: Iterable[str]) -> int:
    """Write texts as shards of JSON Lines, dealt in turn; return how many there are."""
    folder.mkdir(parents=True)
    streams = [(folder / f"{shard}.jsonl").open("w") for shard in range(SHARDS)]
    count = 0
    for text in texts:
        streams[count % SHARDS].write(f'{{"text": "{text}"}}\n')  # letters and spaces alone
        count += 1
    for stream in streams:
        stream.close()
    return count


def run(corpus: Path, out: Path, memory: int) -> dict[str, Any]:
    """Scan, filter and report a corpus in a process of its own; return what it used."""
    options = ["--out", str(out), "--no-score", "--local", "--set", f"limits.memory={memory}MB"]
    used = command("run", str(corpus), *options)
    return {
        "cpu_s": used.cpu_s,
        "wall_s": used.wall_s,
        "peak_mb": used.peak_mb,
        "stages": stages(out),
        "corpus_mb": size(corpus) / 1e6,
        "folder_mb": size(out) / 1e6,
        "rows": rows(out),
    }


def stages(out: Path) -> dict[str, float]:
    """Return the CPU seconds of each stage, from the log of events."""
    found: dict[str, float] = {}
    before = 0.0
    for line in (out / "events" / "stages.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "begin":
            before = event["cpu_s"]
        if event["event"] == "unit":
            name = event["stage"]
            found[name] = round(found.get(name, 0.0) + event["cpu_s"] - before, 3)
            before = event["cpu_s"]
    return found


def size(folder: Path) -> int:
    """Return the bytes of the files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rows(out: Path) -> dict[str, int]:
    """Return the rows of the tables that may grow, and those that were rejected."""
    manifest = json.loads((out / "manifest.json").read_text())
    files = [file for entry in manifest["outputs"].values() for file in entry["files"]]
    found = {
        table: sum(file["rows"] for file in files if file["table"] == table) for table in TABLES
    }
    shards = manifest["corpus"]["shards"]
    return found | {"rejected": sum(sum(shard["rejected"].values()) for shard in shards)}


def wrong(out: Path, kind: Kind, given: int) -> dict[str, int]:
    """Return how much is wrong of a finished run, by name; nothing where all holds."""
    with duckdb.connect() as connection:
        for table in ("documents", "pairs"):
            files = f"{out}/{table}/*.parquet"
            connection.execute(f"create view {table} as select * from read_parquet('{files}')")
        counted = rows(out) | {"rows": given}
        found = {
            name: connection.sql(query.format(**counted)).fetchall()[0][0]
            for name, query in {**WRONG, **kind.holds}.items()
        }
    return {name: count for name, count in found.items() if count}


def measure(name: str, kind: Kind, scale: float, work: Path) -> dict[str, Any]:
    """Run a kind and ordinary text of its size; return the figures of both."""
    many = max(1, int(kind.rows * scale)) if kind.rows > 1 else 1
    length = kind.words if kind.rows > 1 else max(1, int(kind.words * scale))
    beside = max(1, int((kind.beside or kind.rows) * scale))
    found: dict[str, Any] = {"kind": name, "memory_mb": kind.memory, "words": length}
    sides = {
        "skewed": (name, many, length),
        "ordinary": (ORDINARY, beside, length * many // beside),
    }
    for side, (maker, *sizes) in sides.items():
        corpus, out = work / f"{name}-{side}", work / f"{name}-{side}.run"
        given = child("write", maker, *sizes, str(corpus))
        found[side] = {"given": given, **run(corpus, out, kind.memory)}
        found[side]["wrong"] = child("wrong", maker, given, str(out))
        shutil.rmtree(corpus)
        shutil.rmtree(out)
    return found


def child(*asked: str | int) -> Any:  # noqa: ANN401 - what JSON holds
    """Answer a question in a process of its own."""
    return answer_of(["-m", "benchmarks.skew"], asked)


def answer(question: str, name: str, *asked: Any) -> Any:  # noqa: ANN401
    """Make a corpus, or hold a finished run against what must be true of it."""
    if question == "write":
        many, length, folder = asked
        return write(Path(folder), KINDS[name].texts(Words(2), many, length))
    given, out = asked
    return wrong(Path(out), KINDS[name], given)


HEADER = """| kind | rows | MB | CPU s | ordinary | ratio | peak MB | ordinary | of budget | buckets, candidates, pairs a row | folder MB | kept | wrong |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|---|"""


def line(found: dict[str, Any], base: float) -> str:
    """Return the table's row of one kind."""
    own, other = found["skewed"], found["ordinary"]
    cpu = [side["cpu_s"] - base for side in (own, other)]
    each = ", ".join(
        f"{own['rows'][table] / own['given']:.1f}" for table in ("buckets", "candidates", "pairs")
    )
    return (
        f"| {found['kind']} | {own['given']:,} | {own['corpus_mb']:.1f} | {cpu[0]:.1f} | {cpu[1]:.1f} "
        f"| {cpu[0] / cpu[1]:.2f} | {own['peak_mb']:.0f} | {other['peak_mb']:.0f} "
        f"| {own['peak_mb'] / found['memory_mb']:.2f} | {each} | {own['folder_mb']:.1f} "
        f"| {own['rows']['kept']:,} | {', '.join({**own['wrong'], **other['wrong']}) or 'nothing'} |"
    )


def main() -> None:
    """Read the arguments, measure, print the table, record."""
    if CHILD in os.environ:
        print(json.dumps(answer(*json.loads(os.environ[CHILD]))))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", default=",".join(name for name in KINDS if name != ORDINARY))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    from benchmarks.machine import machine

    names = asked.kinds.split(",")
    known = json.loads(asked.out.read_text())["kinds"] if asked.out and asked.out.exists() else []
    results = [found for found in known if found["kind"] not in names]
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory(dir=asked.work) as folder:
        work = Path(folder)
        base = min(ten_rows(work / f"ten{turn}") for turn in range(4))
        for name in names:
            results.append(measure(name, KINDS[name], asked.scale, work))
            print(line(results[-1], base), flush=True)
            if asked.out:
                record = {"machine": machine(), "start_cpu_s": base, "kinds": results}
                asked.out.write_text(json.dumps(record, indent=1) + "\n")
    faults = [found["kind"] for found in results if found["skewed"]["wrong"]]
    if faults:
        raise SystemExit(f"wrong: {', '.join(faults)}")


def ten_rows(work: Path) -> float:
    """Return the CPU seconds of a run over ten rows."""
    child("write", ORDINARY, 10, 100, str(work))
    return float(run(work, work.with_suffix(".run"), 900)["cpu_s"])


if __name__ == "__main__":
    main()
