"""A file that a question is answered in: written whole or not at all, or one message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.engine.files import TEMPORARY
from pipeline.errors import ConfigError


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
