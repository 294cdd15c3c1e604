"""Where the files of a corpus lie: folders of this machine, or addresses of object storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pipeline.corpus.files import NOTHING, Further
from pipeline.corpus.shards import comes_and_goes, is_read
from pipeline.storage.addresses import is_address
from pipeline.storage.mirror import Room, mirrored, scratch_folder


def local_places(
    corpus: Sequence[str],
    scratch: str,
    tell: Callable[[int, int, str], None],
    more: Further = NOTHING,
    room: int | None = 0,
) -> list[str]:
    """Return the places of a corpus on this machine; what lies at an address is fetched first.

    Or, with `room`, when it is read.

    Args:
        corpus: files, folders, globs and addresses.
        scratch: the setting `limits.scratch`.
        tell: told bytes fetched, bytes to fetch, and from where.
        more: what is read beside the known suffixes.
        room: bytes that copies of an address may take at a time; 0 for all of it, None for what
            the last command allowed.
    """
    folder = scratch_folder(scratch)
    wanted = partial(is_read, more=more)
    at_most = Room(room, partial(comes_and_goes, more=more))
    return [
        str(mirrored(root, folder, wanted, tell, at_most)) if is_address(root) else root
        for root in corpus
    ]
