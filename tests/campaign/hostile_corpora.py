"""Corpora of someone who means harm: names, values, forms and sizes."""

import functools
import gzip
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.campaign.terminal import ESCAPE, EVIL
from tests.e2e import corpora

Maker = Callable[[Path, int], None]
WORDS = "some plain words in a row that make a text of their own "


def _rows(count: int = 12) -> list[dict[str, str]]:
    prose = corpora.Prose(3)
    return [{"id": f"d{n}", "text": prose.text(90)} for n in range(count)]


def names(folder: Path, _seed: int) -> None:
    """Write names of files and folders that escape."""
    corpora.write(folder / "deep" / f"x{ESCAPE}\nrote: forged [bold].jsonl", _rows())
    corpora.write(folder / "[/bold].jsonl", _rows())
    (folder / f"ignored{ESCAPE}").write_text("x")


def columns(folder: Path, _seed: int) -> None:
    """Write names of columns, ids and sources that escape."""
    corpora.write(folder / "a.jsonl", [{**row, EVIL: EVIL, "source": EVIL} for row in _rows()])
    corpora.write(folder / "b.jsonl", [{"id": EVIL, "text": WORDS * 9, "source": EVIL}])


def texts(folder: Path, _seed: int) -> None:
    """Write texts that escape, with markup and scripts."""
    script = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    corpora.write(
        folder / "a.jsonl", [{"text": f"{EVIL} {script} {WORDS * 9} {n % 3}"} for n in range(9)]
    )


def json_forms(folder: Path, _seed: int) -> None:
    """Write JSON of every odd form beside good rows."""
    odd = [
        b"[" * 100_000,
        b'{"text": "' + b"\\ud800" * 50 + b'"}',
        b'{"text": 1e999999, "n": ' + b"9" * 10_000 + b"}",
        b'{"text": "a", "text": "b"}',
        b'{"text": "nul \\u0000 inside"}',
        b"\x00" * 1000,
        b'{"' + b"k" * 100_000 + b'": 1, "text": "long key"}',
        json.dumps({f"k{n}": n for n in range(5000)} | {"text": "many keys"}).encode(),
        b'{"text": {"text": {"text": "nested"}}}',
        b"\xef\xbb\xbf" + b'{"text": "with a mark"}',
        b'{"text": "' + EVIL.encode("unicode_escape") + b'"}',
        b"\xff\xfe" * 20,
    ]
    good = [json.dumps(row).encode() for row in _rows()]
    corpora.write(folder / "a.jsonl", [*good, *odd])


def pipes(folder: Path, _seed: int) -> None:
    """Make pipes, devices, loops and folders under the names of files."""
    corpora.write(folder / "good.jsonl", _rows())
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "zero.jsonl").symlink_to("/dev/zero")
    (folder / "loop.jsonl").symlink_to(folder / "loop.jsonl")
    (folder / "up").symlink_to(folder)
    (folder / "folder.jsonl").mkdir()


def bomb(folder: Path, _seed: int) -> None:
    """Write a packed file of one line of 100 MB."""
    corpora.write(folder / "good.jsonl", _rows())
    with gzip.open(folder / "bomb.jsonl.gz", "wb", 1) as stream:
        stream.write(b'{"text": "')
        for _ in range(100):
            stream.write(b"a" * 1_000_000)
        stream.write(b'"}\n')


def empties(folder: Path, _seed: int) -> None:
    """Write files of no bytes, of one byte, and of a line end."""
    corpora.write(folder / "good.jsonl", _rows())
    for suffix in ("jsonl", "parquet", "arrow", "csv", "txt", "jsonl.gz", "jsonl.zst", "csv.gz"):
        for name, data in (("none", b""), ("one", b"x"), ("end", b"\n")):
            (folder / f"{name}.{suffix}").write_bytes(data)


def many_columns(folder: Path, _seed: int) -> None:
    """Write a Parquet file of three thousand columns and odd types."""
    table = {"text": [WORDS * 9, WORDS * 8 + "end"], **{f"c{n}": [n, None] for n in range(3000)}}
    pq.write_table(pa.table(table), folder / "a.parquet")
    odd = pa.table(
        {
            "text": pa.array([WORDS * 7]),
            "n": pa.nulls(1),
            "d": pa.array([2**60]).cast(pa.duration("ns")),
        }
    )
    pq.write_table(odd, folder / "b.parquet")


def flipped(suffix: str, number: int, folder: Path, seed: int) -> None:
    """Write a good file of a format with some bits flipped, and a piece of it doubled."""
    draw = random.Random(f"{seed} {suffix} {number}")
    path = folder / f"a.{suffix}"
    rows = _rows(40)
    if suffix.startswith(("jsonl", "csv")):
        if suffix.startswith("jsonl"):
            corpora.write(path, rows)
        else:
            lines = ["id,text", *(f'{row["id"]},"{row["text"]}"' for row in rows)]
            plain = "\n".join(lines).encode()
            path.write_bytes(gzip.compress(plain) if suffix.endswith("gz") else plain)
    elif suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=9)
    else:
        table = pa.Table.from_pylist(rows)
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=9)
    data = bytearray(path.read_bytes())
    for _ in range(draw.choice((1, 3, 20))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    if draw.random() < 0.3:
        at = draw.randrange(len(data))
        data[at:at] = data[at // 2 : at]
    path.write_bytes(data)


CORPORA: dict[str, Maker] = {
    "names that escape": names,
    "columns, ids and sources that escape": columns,
    "texts that escape": texts,
    "odd JSON": json_forms,
    "pipes, devices, loops": pipes,
    "a packed line of 100 MB": bomb,
    "empty files": empties,
    "three thousand columns": many_columns,
    **{
        f"flipped {suffix} {number}": functools.partial(flipped, suffix, number)
        for suffix in ("parquet", "arrow", "jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz")
        for number in range(12)
    },
}
