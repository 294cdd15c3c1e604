"""Arrays that a stage puts aside: in memory while there is room, else in one file of its own."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.engine.files import SPILL


@dataclass(frozen=True)
class Ref:
    """An array that was put aside.

    Attributes:
        held: the array itself, flat; None when it lies in the file.
        at: the byte of the file from which on it lies there.
        size: its length.
        kind: its type.
    """

    held: np.ndarray | None
    at: int
    size: int
    kind: np.dtype[np.generic]


class Spill:
    """Puts arrays aside: in memory while there is room, then in a file; threads may share it."""

    def __init__(self, handle: int, memory: int) -> None:
        self._handle = handle
        self._room = memory
        self._end = 0
        self._lock = threading.Lock()

    def put(self, values: np.ndarray) -> Ref:
        """Put an array aside; it must not change any more."""
        values = np.ascontiguousarray(values)
        with self._lock:
            if values.nbytes <= self._room:
                self._room -= values.nbytes
                return Ref(values, 0, values.size, values.dtype)
            at = self._end
            self._end += values.nbytes
        data, done = values.view(np.uint8).data, 0
        while done < len(data):
            done += os.pwrite(self._handle, data[done:], at + done)
        return Ref(None, at, values.size, values.dtype)

    def get(self, ref: Ref, low: int = 0, high: int | None = None) -> np.ndarray:
        """Return an array that was put aside, or a part of it."""
        high = ref.size if high is None else high
        if ref.held is not None:
            return ref.held[low:high]
        values = np.empty(high - low, ref.kind)
        data, done = values.view(np.uint8).data, 0
        at = ref.at + low * ref.kind.itemsize
        while done < len(data):
            done += os.preadv(self._handle, [data[done:]], at + done)
        return values

    def drop(self, ref: Ref) -> None:
        """Make room: the array is not needed any more."""
        if ref.held is not None:
            with self._lock:
                self._room += ref.held.nbytes


@contextmanager
def spilling(folder: Path, memory: int) -> Iterator[Spill]:
    """Give a place to put arrays aside; its file is gone afterwards, also after a kill."""
    with tempfile.TemporaryDirectory(prefix=SPILL, dir=folder) as place:
        handle = os.open(Path(place) / "arrays", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            yield Spill(handle, memory)
        finally:
            os.close(handle)
