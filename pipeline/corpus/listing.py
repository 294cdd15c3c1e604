"""Which files a corpus has, told by names, sizes and times alone: cheap enough for every minute."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.corpus.files import NOTHING, Further
from pipeline.corpus.shards import is_read, named_files
from pipeline.storage.addresses import is_address, storage_at


def listing_digest(corpus: Sequence[str], more: Further = NOTHING) -> str:
    """Return 16 hex digits that change when a file of a corpus comes, goes or is written anew.

    No file of rows is opened, and an address is asked for one listing.

    Args:
        corpus: files, folders, globs, lists and addresses.
        more: what is read beside the known suffixes.

    Raises:
        InputError: nothing that rote reads is there, or it cannot be listed.
        TransientIOError: a storage does not answer.
    """
    local = [root for root in corpus if not is_address(root)]
    rows: list[tuple[str, int, int, str]] = []
    for name, path in named_files(local, more).items() if local else ():
        with contextlib.suppress(FileNotFoundError):  # it went meanwhile
            rows.append((name, *_size_and_time(path), ""))
    for root in corpus:
        if is_address(root):
            rows += [
                (f"{root}/{one.name}", one.bytes, one.modified_ns, one.tag)
                for one in storage_at(root).objects()
                if is_read(one.name or root, more)
            ]
    text = json.dumps(sorted(rows), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _size_and_time(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns
