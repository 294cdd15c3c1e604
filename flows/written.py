"""A file that a question is answered in: written whole or not at all, or one message."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.engine.files import TEMPORARY
from pipeline.errors import ConfigError


def require_free(option: str, path: Path, is_ours: Callable[[Path], bool], what: str) -> None:
    """Refuse to write over a file of another kind, before the work is done.

    Args:
        option: that names the file.
        path: the file.
        is_ours: tells whether a file is of that kind.
        what: names the kind.

    Raises:
        ConfigError: When there is one.
    """
    if not path.exists() or (path.is_file() and is_ours(path)):
        return
    raise ConfigError(
        f"Something is there already that is no {what} of rote; nothing was touched.",
        where=f"{option} {path}",
        fix="name a file that is not there yet",
    )


@contextmanager
def written(option: str, path: Path) -> Iterator[Path]:
    """Give the place to write a file to, which is then named as asked.

    Args:
        option: that names the file.
        path: the file.

    Raises:
        ConfigError: When it cannot be written there.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(
            "The file cannot be written.",
            where=f"{option} {path}",
            found=os.strerror(error.errno or 0),
            expected="a file in a folder that is there",
            fix="name another",
        ) from error
