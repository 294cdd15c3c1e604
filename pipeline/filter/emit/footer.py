"""What the footers of kept/ and removed/ say of how a file was written.

Nothing that changes from scan to scan, nor the name of a run folder: a file whose rows did not
change keeps its bytes, and two runs over the same corpus have the same.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from pipeline.engine.run_folder import digest_of

VERSION_KEY, SETTINGS_KEY = b"rote.version", b"rote.settings"
_version = cache(version)  # it takes 3.5 ms to find, for each of two files of a shard


def footer(settings: list[Any]) -> dict[bytes, bytes]:
    """Return the entries: the version of rote, and the digest of what the file was written with.

    Args:
        settings: those that the stage declares, so that a file is written anew when they change.
    """
    return {VERSION_KEY: _version("rote").encode(), SETTINGS_KEY: digest_of(settings).encode()}
