"""Whether a call says how far it is: on standard error, as the command does, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def telling(wanted: bool) -> Iterator[None]:
    """Let the stages of a block say how far they are, if that is wanted."""
    from pipeline.engine.progress import current, listen

    if not wanted:
        yield
        return
    from flows.terminal import open_progress

    before, progress = current(), open_progress()
    listen(progress)
    try:
        yield
    finally:
        progress.close()
        listen(before)
