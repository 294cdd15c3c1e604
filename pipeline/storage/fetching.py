"""Getting an object of a storage as a file: in ranges, several at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pipeline.errors import CorruptFile, TransientIOError
from pipeline.storage.addresses import Listed, Storage

RANGE_BYTES = 16 << 20
AT_ONCE = 8
ATTEMPTS = 3
UNFINISHED = ".rote-fetch"
T = TypeVar("T")


def fetch(storage: Storage, path: Path, one: Listed, threads: ThreadPoolExecutor) -> None:
    """Fetch one file whole, or leave the former one.

    Args:
        storage: where it lies.
        path: of the file; its time becomes that of the object.
        one: the object as it was listed.
        threads: that ask for its ranges.

    Raises:
        CorruptFile: it came short: it was written anew meanwhile.
        OSError: the system does not let it be written; it names the file.
        TransientIOError: the storage did not answer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{secrets.token_hex(8)}{UNFINISHED}")
    try:
        with part.open("wb") as stream:
            ranges = [
                (low, min(low + RANGE_BYTES, one.bytes)) for low in range(0, one.bytes, RANGE_BYTES)
            ]

            def take(span: tuple[int, int]) -> int:
                return os.pwrite(
                    stream.fileno(), asked(lambda: storage.read(one.name, *span, one.tag)), span[0]
                )

            got = sum(threads.map(take, ranges))
        if got != one.bytes:
            raise CorruptFile(
                "A file was not fetched whole: it may have been written anew meanwhile.",
                where=f"{storage.address}/{one.name}",
                found=f"{got:,} bytes",
                expected=f"{one.bytes:,}",
                fix="run the same command again",
            )
        os.utime(part, ns=(one.modified_ns, one.modified_ns))
        part.replace(path)
    except OSError as error:  # of a write it names none, and the run folder would be told
        error.filename = error.filename or str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def asked(question: Callable[[], T]) -> T:
    """Ask a storage something; where the answer ends early, ask again."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(TransientIOError):
            return question()
    return question()
