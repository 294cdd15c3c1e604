"""The lease of a run folder at an address: an object that only one run can make.

It is written again while its holder lives, so that one of a dead run is told from others.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.errors import PipelineError, RunFolderError
from pipeline.storage.addresses import Storage
from pipeline.storage.overwriting import there, write_over

LEASE = ".lease"
LEASE_SECONDS = 60.0
"""A lease that was not written again for so long is of a run that is dead."""
Say = Callable[[str], None]


class Lease:
    """The right to write to a run folder at an address, while it is written again in time."""

    def __init__(self, storage: Storage, tag: str, holder: bytes) -> None:
        self._storage, self._tag, self._holder = storage, tag, holder
        self._gone, self._ended = False, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        beats = 0
        while not self._ended.wait(LEASE_SECONDS / 4):
            beats += 1
            data = self._holder + b" %d" % beats  # never the same: a tag may be a digest of it
            try:
                self._tag = write_over(self._storage, LEASE, data, self._tag, self._is_own)
            except FileExistsError:
                self._gone = True
                return
            except PipelineError:  # it did not answer: the next beat, or the next write, tells
                continue

    def _is_own(self, data: bytes) -> bool:
        return data.startswith(self._holder)

    def require(self) -> None:
        """Refuse to write without the lease.

        Raises:
            RunFolderError: another run has it.
        """
        if self._gone:
            raise self.lost()

    def lost(self) -> RunFolderError:
        """Return the error for a run folder that another run wrote to meanwhile."""
        return RunFolderError(
            "Another run took over this run folder; nothing was written over what it wrote.",
            where=self._storage.address,
            fix="look which of the two is wanted, and run that command again",
        )

    def end(self) -> None:
        """Give the lease back."""
        self._ended.set()
        self._thread.join()
        if not self._gone:
            self._storage.delete([LEASE])


@contextmanager
def leased(storage: Storage, say: Say) -> Iterator[Lease]:
    """Hold the lease of a run folder; one of a dead run is taken over after a while.

    Raises:
        RunFolderError: a living run has it.
    """
    holder = f"rote {uuid.uuid4().hex}".encode()
    try:
        tag = storage.write(LEASE, holder, tag="")
    except FileExistsError:
        tag = _taken_over(storage, holder, say)
    lease = Lease(storage, tag, holder)
    try:
        yield lease
    finally:
        lease.end()


def _taken_over(storage: Storage, holder: bytes, say: Say) -> str:
    """Wait whether a lease is written again, and take it over when it is not."""
    seen = there(storage, LEASE)
    say(f"{storage.address}: another run has it, or was killed; waiting {LEASE_SECONDS:.0f} s")
    time.sleep(LEASE_SECONDS)
    try:
        if there(storage, LEASE) == seen:
            return storage.write(LEASE, holder, tag=seen.tag if seen else "")
    except FileExistsError:
        pass
    raise RunFolderError(
        "Another rote is writing to this run folder.",
        where=storage.address,
        fix="wait for it to end, or use another --out",
    )
