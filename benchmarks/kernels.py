"""The compiled loops on one core, by kind of text: words, shingles and signatures, and all of it.

usage: python benchmarks/kernels.py CORPUS [--mb N] [--repeat N] [--out JSON]

CORPUS is a folder of Parquet shards with a column `text`. Its documents are put into kinds by their
letters: code (files named code*), CJK (a fifth of the characters and more), prose (Latin letters,
nearly all ASCII) and other. Of each kind N megabytes of text (the kind repeated when it has less)
go through the loops in memory, one thread, batch by batch as in a scan; best of the repeats, since
other work on the machine only slows.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import machine

from pipeline.config.sections import SketchConfig
from pipeline.corpus import DocumentBatch
from pipeline.engine.tables import write_table
from pipeline.scan.signatures import Sketcher
from pipeline.scan.words import WordWriter
from pipeline.text import segmentation as text
from pipeline.text import segmentation_kernels as kernels
from schemas.scan.words import WORDS

CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
BATCH_BYTES = 8 << 20


def kind_of(path: Path, document: str) -> str:
    """Return what kind of text a document is."""
    if path.name.startswith("code"):
        return "code"
    head = document[:4000]
    if len(CJK.findall(head)) * 5 > len(head):
        return "CJK"
    return "prose" if sum(map(str.isascii, head)) > 0.99 * len(head) else "other"


def texts_of(corpus: Path, size: int) -> dict[str, list[pa.LargeStringArray]]:
    """Return batches of about `size` bytes of text of each kind."""
    found: dict[str, list[str]] = {}
    for path in sorted(corpus.rglob("*.parquet")):
        for document in pq.read_table(path, columns=["text"])["text"].to_pylist():
            if document:
                found.setdefault(kind_of(path, document), []).append(document)
    return {kind: _batches(documents, size) for kind, documents in sorted(found.items())}


def _batches(documents: list[str], size: int) -> list[pa.LargeStringArray]:
    batches: list[pa.LargeStringArray] = []
    held: list[str] = []
    total = own = place = 0
    while total < size:
        document = documents[place % len(documents)]
        place += 1
        held.append(document)
        own += len(document.encode())
        if own >= BATCH_BYTES or total + own >= size:
            batches.append(pa.array(held, pa.large_string()))
            total, own, held = total + own, 0, []
    return batches


def words_alone(batches: list[pa.LargeStringArray], config: SketchConfig) -> None:
    """Cut and hash words, piece by piece into one buffer."""
    sink = text.word_sink(1 << 16, config.seed)
    for batch in batches:
        offsets, data = text.text_buffers(batch)
        place, bounds = np.zeros(3, np.int64), np.zeros(offsets.size, np.int64)
        while place[0] < offsets.size - 1:
            place[2] = 0
            kernels.scan_words(data, offsets, place, sink, bounds)


class _Nothing(WordWriter):
    """Takes words and writes none."""

    def begin(self, keys: np.ndarray) -> None:
        """Do nothing."""

    def add(self, *_: object) -> None:  # type: ignore[override]
        """Do nothing."""


def signed(batches: list[pa.LargeStringArray], config: SketchConfig) -> None:
    """Words, shingles and signatures, with BLAKE2b of each text, as rows of `signatures`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        write_table(Path(folder), "words", "x", WORDS) as out,
    ):
        _through(Sketcher(config, _Nothing(out, config.seed)), batches)


def everything(batches: list[pa.LargeStringArray], config: SketchConfig) -> None:
    """Do the whole sketch, `words` written, but for reading and writing `signatures`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        write_table(Path(folder), "words", "x", WORDS) as out,
    ):
        writer = WordWriter(out, config.seed)
        _through(Sketcher(config, writer), batches)
        writer.finish()


def _through(sketcher: Sketcher, batches: list[pa.LargeStringArray]) -> None:
    for batch in batches:
        size = len(batch)
        ids, none = pa.array([""] * size), pa.nulls(size, pa.string())
        document = DocumentBatch(
            rows=np.arange(size), texts=batch, ids=ids, sources=none,
            priorities=pa.nulls(size, pa.float64()), rejected=(), columns=None,
            rejected_columns=None, rejected_rows=np.zeros(0, np.int64),
        )  # fmt: skip
        for _ in sketcher.add(0, document):
            pass


STEPS: dict[str, Callable[[list[pa.LargeStringArray], SketchConfig], None]] = {
    "words": words_alone,
    "words + shingles + signatures": signed,
    "sketch, words written": everything,
}


def measure(corpus: Path, megabytes: int, repeat: int) -> dict[str, Any]:
    """Return MB/s of each step and kind."""
    config, rates = SketchConfig(), {}
    for kind, batches in texts_of(corpus, megabytes * 10**6).items():
        size = sum(int(np.diff(text.text_buffers(batch)[0]).sum()) for batch in batches)
        rates[kind] = {name: size / 1e6 / _best(step, batches, config, repeat)
                       for name, step in STEPS.items()}  # fmt: skip
    return {"machine": machine(), "megabytes": megabytes, "MB/s": rates}


def _best(
    step: Callable[[list[pa.LargeStringArray], SketchConfig], None],
    batches: list[pa.LargeStringArray],
    config: SketchConfig,
    repeat: int,
) -> float:
    step(batches[:1], config)
    seconds = []
    for _ in range(repeat):
        begun = time.perf_counter()
        step(batches, config)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def main() -> None:
    """Read the arguments, measure, print one table, record."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("corpus", type=Path)
    arguments.add_argument("--mb", type=int, default=64)
    arguments.add_argument("--repeat", type=int, default=5)
    arguments.add_argument("--out", type=Path)
    asked = arguments.parse_args()
    result = measure(asked.corpus, asked.mb, asked.repeat)
    print(f"{'MB/s, one core':<34}" + "".join(f"{kind:>10}" for kind in result["MB/s"]))
    for name in STEPS:
        cells = "".join(f"{rates[name]:>10.0f}" for rates in result["MB/s"].values())
        print(f"{name:<34}{cells}")
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
