"""The files of the sample: the same documents give the same bytes."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, ipc, parquet

from pipeline.sample.documents import SampleDocument, rank

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("text", pa.string()),
        pa.field("source", pa.string()),
        pa.field(
            "meta",
            pa.struct(
                [
                    pa.field("package", pa.string()),
                    pa.field("lines", pa.int64()),
                    pa.field("tags", pa.list_(pa.string())),
                ]
            ),
        ),
    ]
)
# Shares of the documents, as whole numbers that the hash is divided by.
WEIGHTS = {
    **{f"part-{number:02d}.parquet": 2 for number in range(6)},
    "lines-00.jsonl": 1,
    "lines-01.jsonl.gz": 1,
    "lines-02.jsonl.zst": 1,
    "table-00.arrow": 1,
    "table-01.csv": 1,
}
ROWS = 500  # in a row group or record batch
NOTES = 6  # help topics that become plain text files, besides three planted ones


def deal(documents: list[SampleDocument], seed: int) -> dict[str, list[SampleDocument]]:
    """Return the documents of each file, in hash order; a few are plain text files.

    The hash spreads copies and near copies over the files.
    """
    wheel = [name for name, weight in WEIGHTS.items() for _ in range(weight)]
    shards: dict[str, list[SampleDocument]] = {name: [] for name in WEIGHTS}
    ordered = sorted(documents, key=lambda document: (rank(seed, document.id), document.id))
    topics = [document for document in ordered if document.group == "topics"][:NOTES]
    plain = {document.id for document in topics}
    for document in ordered:
        if document.id in plain:
            note = _note(document)
            shards[note.id] = [note]
        else:
            name = document.shard or wheel[rank(seed, document.id) % len(wheel)]
            shards.setdefault(name, []).append(document)
    return shards


def _note(document: SampleDocument) -> SampleDocument:
    """Return the document as a plain text file: its path is the id."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", document.id).strip("-").lower()
    return replace(document, id=f"notes/{name}.txt", source=f"notes/{name}.txt")


def write(folder: Path, name: str, documents: list[SampleDocument]) -> None:
    """Write one file in the format that its name says.

    No time, host or path goes into it.
    """
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = _WRITERS[path.suffix]
    writer(path, documents)


def _row(document: SampleDocument) -> dict[str, Any]:
    """Return a document as a row."""
    lines = (document.text or "").count("\n")
    meta = {"package": document.package, "lines": lines, "tags": list(document.tags)}
    return {"id": document.id, "text": document.text, "source": document.source, "meta": meta}


def _table(documents: list[SampleDocument]) -> pa.Table:
    """Return documents as a table."""
    return pa.Table.from_pylist([_row(document) for document in documents], schema=SCHEMA)


def _json_lines(documents: list[SampleDocument]) -> bytes:
    """Return documents as JSON Lines."""
    return b"".join(json.dumps(_row(d), ensure_ascii=False).encode() + b"\n" for d in documents)


def _parquet(path: Path, documents: list[SampleDocument]) -> None:
    """Write documents as Parquet."""
    parquet.write_table(_table(documents), path, compression="zstd", row_group_size=ROWS)


def _arrow(path: Path, documents: list[SampleDocument]) -> None:
    """Write documents as an Arrow file."""
    with ipc.new_file(str(path), SCHEMA) as sink:
        sink.write_table(_table(documents), max_chunksize=ROWS)


def _csv(path: Path, documents: list[SampleDocument]) -> None:
    """Write documents as CSV."""
    csv.write_csv(_table(documents).drop_columns(["meta"]), path)


def _jsonl(path: Path, documents: list[SampleDocument]) -> None:
    """Write documents as JSON Lines."""
    path.write_bytes(_json_lines(documents))


def _gzip(path: Path, documents: list[SampleDocument]) -> None:
    """Write documents as JSON Lines, packed by gzip."""
    path.write_bytes(gzip.compress(_json_lines(documents), compresslevel=6, mtime=0))


def _zstandard(path: Path, documents: list[SampleDocument]) -> None:
    """Write documents as JSON Lines, packed by Zstandard."""
    with pa.CompressedOutputStream(str(path), "zstd") as sink:
        sink.write(_json_lines(documents))


def _text(path: Path, documents: list[SampleDocument]) -> None:
    """Write one document as a text file."""
    (document,) = documents
    path.write_bytes((document.text or "").encode())


_WRITERS: dict[str, Callable[[Path, list[SampleDocument]], None]] = {
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".gz": _gzip,
    ".zst": _zstandard,
    ".txt": _text,
}
