"""Arrays that a stage puts aside: in memory while there is room, else in files of its own.

A spill can be sent to another process that sees the same folder: what is put aside there lies in a
file of that process, and either side can read what the other was told of.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.engine.files import SPILL, damaged_file

_SENT: weakref.WeakSet[Spill] = weakref.WeakSet()  # those that came here from another process


@dataclass(frozen=True)
class Ref:
    """An array that was put aside.

    Attributes:
        held: the array itself, flat; None when it lies in a file.
        file: name of that file, below the folder of the spill.
        at: the byte of the file from which on it lies there.
        size: its length.
        kind: its type.
    """

    held: np.ndarray | None
    file: str
    at: int
    size: int
    kind: np.dtype[np.generic]


class Spill:
    """Puts arrays aside: in memory while there is room, then in a file; threads may share it."""

    def __init__(self, folder: Path, memory: int) -> None:
        self._folder = folder
        self._room = memory
        self._file = secrets.token_hex(8)
        self._end = 0
        self._handles: dict[str, int] = {}
        self._lock = threading.Lock()

    def put(self, values: np.ndarray) -> Ref:
        """Put an array aside; it must not change any more."""
        values = np.ascontiguousarray(values)
        with self._lock:
            if values.nbytes <= self._room:
                self._room -= values.nbytes
                return Ref(values, "", 0, values.size, values.dtype)
            at = self._end
            self._end += values.nbytes
            handle = self._handle(self._file)
        data, done = values.view(np.uint8).data, 0
        while done < len(data):
            done += os.pwrite(handle, data[done:], at + done)
        return Ref(None, self._file, at, values.size, values.dtype)

    def get(self, ref: Ref, low: int = 0, high: int | None = None) -> np.ndarray:
        """Return an array that was put aside, or a part of it.

        Raises:
            IntegrityError: its file ends before it does.
        """
        high = ref.size if high is None else high
        if ref.held is not None:
            return ref.held[low:high]
        values = np.empty(high - low, ref.kind)
        data, done = values.view(np.uint8).data, 0
        at = ref.at + low * ref.kind.itemsize
        with self._lock:
            handle = self._handle(ref.file)
        while done < len(data):
            count = os.preadv(handle, [data[done:]], at + done)
            if not count:
                raise damaged_file(self._folder / ref.file, "an end before that of an array")
            done += count
        return values

    def drop(self, ref: Ref) -> None:
        """Make room: the array is not needed any more."""
        if ref.held is not None:
            with self._lock:
                self._room += ref.held.nbytes

    def close(self) -> None:
        """Let other processes see what was put aside; what is read next is looked for anew."""
        with self._lock:
            while self._handles:
                os.close(self._handles.popitem()[1])

    def _handle(self, name: str) -> int:
        """Return the open file of a name: that of its own can be written to, others are there."""
        if name not in self._handles:
            flags = os.O_RDWR | os.O_CREAT if name == self._file else os.O_RDONLY
            self._handles[name] = os.open(self._folder / name, flags, 0o600)
        return self._handles[name]

    def __reduce__(self) -> tuple[Any, ...]:
        """Be sent to another process: it holds nothing there, and writes to a file of its own."""
        return _sent, (self._folder,)


def _sent(folder: Path) -> Spill:
    spill = Spill(folder, 0)
    _SENT.add(spill)
    return spill


def close_sent() -> None:
    """Close the files of all spills that came here from another process."""
    for spill in [*_SENT]:
        spill.close()


@contextmanager
def spilling(folder: Path, memory: int) -> Iterator[Spill]:
    """Give a place to put arrays aside; its files are gone afterwards, also after a kill.

    What another process still writes then goes with the next command, which sweeps.
    """
    with tempfile.TemporaryDirectory(prefix=SPILL, dir=folder, ignore_cleanup_errors=True) as place:
        spill = Spill(Path(place), memory)
        try:
            yield spill
        finally:
            spill.close()
