"""Standard input as part of a corpus: stored beside the run folder, since it is read twice."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from flows.command_line import INPUT
from pipeline.engine.files import remove_quietly, temporary_of
from pipeline.engine.progress import current
from pipeline.engine.system import writing
from pipeline.errors import ConfigError

BLOCK_BYTES = 1 << 20
BEGINNINGS = {b"PAR1": ".parquet", b"ARROW1": ".arrow", b"{": ".jsonl", b"[": ".jsonl"}


def with_input(corpus: Sequence[str], out: Path, *, dry_run: bool = False) -> tuple[str, ...]:
    """Return a corpus with the file that standard input was written to in the place of `@-`.

    The file is OUT.stdin.jsonl, or .parquet, .arrow, .txt as its first bytes have it; it is written
    anew each time, and later commands on the run need it.

    Args:
        corpus: files, folders, globs, and perhaps `@-`.
        out: the run folder.
        dry_run: whether nothing may be written.

    Raises:
        ConfigError: There is no standard input, it is empty, or nothing may be written.
    """
    if INPUT not in corpus:
        return tuple(corpus)
    if dry_run or sys.stdin is None:
        raise ConfigError(
            "Standard input cannot be read for this.",
            where="corpus -",
            found="--dry-run, which writes nothing" if dry_run else "it is closed",
            fix="write what it gives into a file, and name that",
        )
    path = stored(sys.stdin.buffer, out)
    current().message(f"standard input is stored as {path}, which later commands need")
    return tuple(str(path) if root == INPUT else root for root in corpus)


def stored(stream: BinaryIO, out: Path) -> Path:
    """Write all that a stream gives to a file beside the run folder, whole or not at all.

    Raises:
        ConfigError: It gives nothing.
    """
    block = stream.read(BLOCK_BYTES)
    if not block:
        raise ConfigError("Standard input is empty.", where="corpus -", expected="rows or text")
    target = out.absolute().with_name(f"{out.absolute().name}.stdin{_suffix(block)}")
    temporary = temporary_of(target)
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                while block:
                    file.write(block)
                    block = stream.read(BLOCK_BYTES)
            temporary.replace(target)
        finally:
            remove_quietly([temporary])
    return target


def _suffix(block: bytes) -> str:
    """Return the suffix of the format that begins so; that of plain text for others."""
    start = block.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((name for mark, name in BEGINNINGS.items() if start.startswith(mark)), ".txt")
