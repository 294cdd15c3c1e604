"""What a user named and is not there: told in the same words by whoever looks first.

The command line looks before it imports what is heavy, so that a wrong path is refused at once.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import ConfigError, InputError, RunFolderError

MANIFEST = "manifest.json"
KEY = "key.json"  # of canaries


def placed(text: str) -> Path:
    """Return the path as absolute and normal; links stay, since the link's own name counts."""
    return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - Path.absolute keeps `..`


def no_corpus(root: str) -> InputError:
    """Return the error for a part of a corpus that is nothing."""
    return InputError(
        "The corpus does not exist.",
        where=str(placed(root)),
        found="nothing there",
        fix="check the path",
    )


def no_run(folder: Path) -> RunFolderError:
    """Return the error for a place without a manifest."""
    return RunFolderError(
        "This is not a run folder.",
        where=str(folder),
        found=f"no {MANIFEST}",
        fix="make one: rote run CORPUS... --out FOLDER",
    )


def no_key(folder: Path) -> ConfigError:
    """Return the error for a place without a key of canaries."""
    return ConfigError(
        "There is no key of canaries here.",
        where=str(folder),
        found=f"no {KEY}",
        expected="a folder that `rote canaries RUN --out FOLDER` wrote",
    )
