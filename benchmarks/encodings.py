"""Peak memory over its budget, for corpora whose files say little about what they hold.

usage: python benchmarks/encodings.py [--memory 1GB] [--work FOLDER]

Each corpus is scanned, filtered and reported by the command line, a process each, under one budget.
What matters is the largest peak over the budget: at most 1.1, or a refusal that names the smallest
budget that would do. The first run after an installation compiles and goes above; run it twice.
"""

from __future__ import annotations

import argparse
import gzip
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

UNITS = {"GB": 10**9, "MB": 10**6}
SPAWNED = multiprocessing.get_context("spawn")
COMMANDS = ("scan", "filter", "report")
SMALLEST = "--set limits.memory="


class Texts:
    """Texts of random words, the same for the same seed."""

    def __init__(self) -> None:
        self._draw = random.Random(1)  # noqa: S311
        letters = "abcdefghij"
        self._words = ["".join(self._draw.choices(letters, k=6)) for _ in range(3_000)]

    def of(self, size: int) -> str:
        """Return a text of about so many bytes."""
        return " ".join(self._draw.choices(self._words, k=max(5, size // 7)))


def coded(texts: Texts, rows: int) -> pa.DictionaryArray:
    """Return rows of nine texts of 100 KB behind a dictionary."""
    places = pa.array([row % 9 for row in range(rows)], pa.int32())
    return pa.DictionaryArray.from_arrays(places, pa.array([texts.of(100_000) for _ in range(9)]))


def pages(folder: Path, texts: Texts) -> None:
    """Write nine texts of 100 KB in 3,000 rows: plain strings, one dictionary page."""
    pq.write_table(
        pa.table({"text": coded(texts, 3_000).cast(pa.large_string())}), folder / "a.parquet"
    )


def dictionary(folder: Path, texts: Texts) -> None:
    """Write the same as Arrow's dictionary type."""
    pq.write_table(pa.table({"text": coded(texts, 3_000)}), folder / "a.parquet")


def ipc(folder: Path, texts: Texts) -> None:
    """Write the same as an Arrow file."""
    table = pa.table({"text": coded(texts, 3_000)})
    with pa.ipc.new_file(str(folder / "a.arrow"), table.schema) as out:
        out.write_table(table)


def one_line(folder: Path, _: Texts) -> None:
    """Write a packed file of one line of 2 GB."""
    with gzip.open(folder / "a.jsonl.gz", "wb", compresslevel=1) as out:
        out.write(b'{"text": "')
        for _part in range(2_000):
            out.write(b"word abc " * 111_111)
        out.write(b'"}\n')


def long_rows(folder: Path, texts: Texts) -> None:
    """Write 20 texts of 8 MB."""
    pq.write_table(
        pa.table({"text": [texts.of(8_000_000) for _ in range(20)]}), folder / "a.parquet"
    )


def short_rows(folder: Path, texts: Texts) -> None:
    """Write 400,000 texts of 40 bytes."""
    pq.write_table(pa.table({"text": [texts.of(40) for _ in range(400_000)]}), folder / "a.parquet")


def many_columns(folder: Path, texts: Texts) -> None:
    """Write 20,000 texts of 1 KB beside 300 columns."""
    columns = {f"c{number}": list(range(20_000)) for number in range(300)}
    pq.write_table(pa.table({"text": [texts.of(1_000) for _ in range(20_000)], **columns}),
                   folder / "a.parquet")  # fmt: skip


def many_groups(folder: Path, texts: Texts) -> None:
    """Write 40,000 texts of 500 bytes in 10,000 row groups."""
    table = pa.table({"text": [texts.of(500) for _ in range(40_000)]})
    pq.write_table(table, folder / "a.parquet", row_group_size=4)


KINDS: tuple[Callable[[Path, Texts], None], ...] = (
    pages, dictionary, ipc, one_line, long_rows, short_rows, many_columns, many_groups,
)  # fmt: skip


def peak(*arguments: str) -> tuple[int, str]:
    """Run a command of rote; return its peak memory in bytes and what it said when it failed."""
    code = "import sys; from flows.cli import main; sys.argv[0] = 'rote'; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        said = process.stderr.read().decode() if process.stderr else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_maxrss * 1024, said if process.returncode else ""


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    budget = int(asked.memory[:-2]) * UNITS[asked.memory[-2:]]
    print("| corpus | file MB | scan MB | filter MB | report MB | most / budget | refused |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        with tempfile.TemporaryDirectory(dir=asked.work) as work:
            corpus, out = Path(work) / "corpus", Path(work) / "run"
            corpus.mkdir()
            made = SPAWNED.Process(target=kind, args=(corpus, Texts()))
            made.start()  # a child's peak begins with its parent's: this process stays small
            made.join()
            size = sum(path.stat().st_size for path in corpus.iterdir())
            peaks, refused = [], "no"
            for command in COMMANDS:
                given = (str(corpus), "--out", str(out)) if command == "scan" else (str(out),)
                used, said = peak(command, *given, "--local", "--set", f"limits.memory={budget}")
                peaks.append(used)
                if said:
                    named = said.partition(SMALLEST)[2].split()
                    refused = f"needs {named[0]}" if named else said[:60].replace("\n", " ")
                    break
            shown = [f"{used / 1e6:.0f}" for used in peaks] + ["-"] * (3 - len(peaks))
            print(f"| {kind.__name__} | {size / 1e6:.1f} | {' | '.join(shown)} "
                  f"| {max(peaks) / budget:.2f} | {refused} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
