"""Run folders at addresses of object storage: a command works on a copy of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.arguments import (
    BacktestArguments,
    CheckArguments,
    CheckCanariesArguments,
    FilterArguments,
    ReportArguments,
    RestoreArguments,
    RunArguments,
    ScanArguments,
    ScoreArguments,
)
from pipeline.absent import KEY, MANIFEST, no_corpus, no_key, no_run, placed
from pipeline.names import shown

MARKS = "@:*?["
"""Characters of parts of a corpus that may be more than a path: lists, addresses, globs."""
NEW = (RunArguments, ScanArguments)
WRITING = (
    *NEW,
    *(ScoreArguments, FilterArguments, ReportArguments, RestoreArguments, CheckArguments),
    BacktestArguments,
)


def require_there(arguments: Any) -> None:  # noqa: ANN401 - those of any command
    """Refuse a path that leads to nothing, before what a command works with is imported.

    What may be more than a path is left to those who know.

    Raises:
        InputError: A part of the corpus does not exist.
        RunFolderError: There is no manifest where a run folder was named.
        ConfigError: There is no key where a folder of canaries was named.
    """
    for root in getattr(arguments, "corpus", ()):
        if not any(mark in root for mark in MARKS) and _is_nothing(placed(root)):
            raise no_corpus(root)
    run = getattr(arguments, "run", None)
    if run is not None and address_of(run) is None and _is_nothing(run / MANIFEST):
        raise no_run(run)
    key = arguments.folder / KEY if isinstance(arguments, CheckCanariesArguments) else None
    if key is not None and _is_nothing(key):
        raise no_key(key.parent)


def _is_nothing(path: Path) -> bool:
    """Tell whether nothing is there; of what cannot be asked, that is not known."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


@contextmanager
def at_hand(arguments: Any) -> Iterator[Any]:  # noqa: ANN401 - those of any command
    """Give the arguments of a command with a run folder of this machine in place of an address."""
    field = "out" if isinstance(arguments, NEW) else "run"
    place = getattr(arguments, field, None)
    if not isinstance(place, Path) or (address := address_of(place)) is None:
        yield arguments
        return
    options = getattr(arguments, "options", None)
    writes = isinstance(arguments, WRITING) and not getattr(options, "dry_run", False)
    new = isinstance(arguments, NEW)
    with folder_at(address, _scratch(options), writes=writes, new=new) as folder:
        yield replace(arguments, **{field: folder})


def _scratch(options: Any) -> str:  # noqa: ANN401
    """Return the setting `limits.scratch` as it was given."""
    from pipeline.config.load import load_config

    settings = getattr(options, "settings", None)
    return load_config(settings.config, settings.set).limits.scratch if settings else ""


def address_of(place: Path) -> str | None:
    """Return the address that a path was, if it was one: a path has lost one of its two slashes."""
    if ":" not in str(place):
        return None
    from pipeline.storage.addresses import is_address

    scheme, _, rest = str(place).partition(":")
    return f"{scheme}://{rest.lstrip('/')}" if is_address(f"{place}/") else None


@contextmanager
def place_at(out: str, scratch: str) -> Iterator[Path]:
    """Give the run folder of a schedule's run, which may lie at an address."""
    address = address_of(Path(out))
    if address is None:
        yield Path(out)
        return
    with folder_at(address, scratch, writes=True, new=True) as folder:
        yield folder


@contextmanager
def folder_at(address: str, scratch: str, *, writes: bool, new: bool) -> Iterator[Path]:
    """Give a run folder of this machine for one that lies at an address, and publish it after."""
    from pipeline.engine.progress import current
    from pipeline.storage.mirror import scratch_folder
    from pipeline.storage.published import run_folder_at

    folder, tell = scratch_folder(scratch), current().advance
    with run_folder_at(address, folder, tell, _say, writes=writes, new=new) as found:
        yield found


def _say(text: str) -> None:
    """Tell what no stage's progress tells: a command has not begun yet, or has ended."""
    sys.stderr.write(f"storage: {shown(text)}\n")
    sys.stderr.flush()
