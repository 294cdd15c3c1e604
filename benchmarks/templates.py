"""What templated text costs beside ordinary text of the same size: time, memory, folder, removals.

usage: python benchmarks/templates.py [--rows 7500,15000,60000,100000] [--memory 900MB] [--work FOLDER]

Each corpus is scanned and filtered by the command line in processes of their own; CPU seconds and
peak memory are those of the process, the seconds less what a corpus of ten rows takes (the least of
three, after one that compiles). The kinds:

  line      one-line messages of one template, near copies at a Jaccard of about 0.7: none may go
  close     the same with a longer template, near copies at 0.8 and above: all but one must go
  long      documents of 2,000 words with 20 edits each: all but one must go
  framed    documents of 360 words with 120 words of header and footer in common: none may go

Beside speed stands what was removed, and the share of pairs at 0.8 or above, by exact Jaccard of a
sample, that stayed on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = 15_000
LINE = (
    "Dear customer of our shop in the old town your order number {} has been shipped today and will"
    " arrive at your address within three working days thank you for buying from our store"
)
CLOSE = f"{LINE} and please do not hesitate to write to us if there is anything that we can do {LINE[:60]}"


class Corpora:
    """Corpora of templated and of ordinary text, the same for the same seed."""

    def __init__(self) -> None:
        self._draw = random.Random(1)  # noqa: S311
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = [
            "".join(self._draw.choices(letters, k=self._draw.randint(3, 9))) for _ in range(WORDS)
        ]
        self._body = self.ordinary(2_000).split()

    def ordinary(self, count: int) -> str:
        """Return so many words, frequent ones more often."""
        places = (int(self._draw.expovariate(1 / 2_500)) for _ in range(count))
        return " ".join(self._words[min(place, WORDS - 1)] for place in places)

    def long(self) -> str:
        """Return the long text with 20 words exchanged."""
        words = list(self._body)
        for _ in range(20):
            words[self._draw.randrange(len(words))] = self._words[self._draw.randrange(WORDS)]
        return " ".join(words)

    def framed(self) -> str:
        """Return a text of its own between a header and a footer."""
        head, foot = " ".join(self._body[:60]), " ".join(self._body[60:120])
        return f"{head} {self.ordinary(240)} {foot}"


def write(folder: Path, texts: list[str]) -> Path:
    """Write texts as two shards; return their folder."""
    folder.mkdir(parents=True)
    for shard in range(2):
        lines = (json.dumps({"text": text}) for text in texts[shard::2])
        (folder / f"{shard}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def measured(*arguments: str) -> tuple[float, float, float]:
    """Run a command of rote; return its CPU seconds, wall seconds and peak memory in MB."""
    began = time.perf_counter()
    code = "import sys; from flows.cli import main; sys.argv[0] = 'rote'; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        said = process.stderr.read() if process.stderr else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(said.decode())
    seconds = used.ru_utime + used.ru_stime
    return seconds, time.perf_counter() - began, used.ru_maxrss / 1000


def run(corpus: Path, out: Path, memory: str) -> dict[str, Any]:
    """Scan and filter a corpus; return the figures of both."""
    setting = ("--set", f"limits.memory={memory}")
    scanned = measured("scan", str(corpus), "--out", str(out), "--local", *setting)
    filtered = measured("filter", str(out), "--local", *setting)
    manifest = json.loads((out / "manifest.json").read_text())
    files = [file for entry in manifest["outputs"].values() for file in entry["files"]]
    rows = {
        table: sum(file["rows"] for file in files if file["table"] == table)
        for table in ("kept", "removed", "candidates")
    }
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    given = sum(path.stat().st_size for path in corpus.iterdir())
    return {
        "scan_s": scanned[0],
        "filter_s": filtered[0],
        "peak_mb": max(scanned[2], filtered[2]),
        "input_mb": given / 1e6,
        "folder_x": size / given,
        "missed_0.8": manifest["outputs"]["candidates/all"]["facts"]["estimated_missed"]["0.8"],
        **rows,
    }


def table(asked: argparse.Namespace, work: Path) -> None:
    """Measure every kind at every size, and print a row each."""
    corpora = Corpora()
    texts = [LINE.format(number) for number in range(2_000)]
    run(write(work / "warm", texts), work / "warm.run", "0")  # compiles what only crowds need
    tiny = write(work / "tiny", [corpora.ordinary(30) for _ in range(10)])
    tries = [run(tiny, work / f"base{number}", "0") for number in range(4)][
        1:
    ]  # the first compiles
    base = {side: min(each[side] for each in tries) for side in ("scan_s", "filter_s")}
    kinds: list[tuple[str, Callable[[int], str], int, int]] = [
        *(("line", LINE.format, rows, len(LINE.split())) for rows in asked.rows),
        *(("close", CLOSE.format, rows, len(CLOSE.split())) for rows in asked.rows),
        ("long", lambda _: corpora.long(), 5_000, 2_000),
        ("framed", lambda _: corpora.framed(), 18_000, 360),
    ]
    print("| kind | rows | MB | scan s | ordinary | ratio | filter s | ordinary | peak MB | ordinary"
          " | pairs a row | folder x | kept | near pairs missed |")  # fmt: skip
    print("|---|" + "---|" * 13)
    for number, (kind, text, rows, words) in enumerate(kinds):
        own, other = (
            run(write(work / f"{side}{number}", texts), work / f"{side}{number}.run", asked.memory)
            for side, texts in (
                ("t", [text(n) for n in range(rows)]),
                ("o", [corpora.ordinary(words) for _ in range(rows)]),
            )
        )
        cpu = [side["scan_s"] - base["scan_s"] for side in (own, other)]
        cpu[1] *= own["input_mb"] / other["input_mb"]
        cut = [side["filter_s"] - base["filter_s"] for side in (own, other)]
        whole = (sum(cpu) - cpu[1] + cut[0]) / max(cpu[1] + cut[1], 0.1)
        print(
            f"| {kind} | {rows:,} | {own['input_mb']:.1f} | {cpu[0]:.1f} | {cpu[1]:.1f} | {whole:.2f} "
            f"| {cut[0]:.1f} | {cut[1]:.1f} | {own['peak_mb']:.0f} | {other['peak_mb']:.0f} "
            f"| {own['candidates'] / rows:.1f} | {own['folder_x']:.1f} | {own['kept']:,} "
            f"| {own['missed_0.8']:,} |",
            flush=True,
        )


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", default="7500,15000,60000,100000",
                        type=lambda given: [int(rows) for rows in given.split(",")])  # fmt: skip
    parser.add_argument("--memory", default="900MB")
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.work) as work:
        table(asked, Path(work))


if __name__ == "__main__":
    main()
