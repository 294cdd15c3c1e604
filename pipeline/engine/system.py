"""What the system says when it does not let us work on a run folder, in the words of a user.

The one place that translates its errors about our own files, and a want of memory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import OutOfMemory, PipelineError, RunFolderError

AGAIN = "run the same command again: what is finished stays"
FULL = "make room and " + AGAIN
ALLOW = "allow it and " + AGAIN
FORBIDDEN = ("The run folder cannot be written to.", ALLOW)
DISK_FULL = ("The disk is full.", FULL)
IN_THE_WAY = (
    "Something is in the way of a file or folder of the run.",
    f"move it away or name another --out, and {AGAIN}",
)
GONE = (
    "A file or folder of the run is gone, or cannot be made there.",
    f"if it was moved while rote worked, move it back, else name another --out; and {AGAIN}",
)
FAULTS = {
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: DISK_FULL,
    errno.EFBIG: DISK_FULL,
    errno.EACCES: FORBIDDEN,
    errno.EPERM: FORBIDDEN,
    errno.EROFS: FORBIDDEN,
    errno.EEXIST: IN_THE_WAY,
    errno.EISDIR: IN_THE_WAY,
    errno.ENOTDIR: IN_THE_WAY,
    errno.ENOTEMPTY: IN_THE_WAY,
    errno.ELOOP: IN_THE_WAY,
    errno.ENOENT: GONE,
    errno.ESTALE: GONE,
    errno.ENAMETOOLONG: (
        "A name in the run folder would be too long for this file system.",
        f"name another --out, or shorten the names of the corpus, and {AGAIN}",
    ),
    errno.EMFILE: ("Too many files are open.", f"allow more (ulimit -n) and {AGAIN}"),
}
ADDRESS_SPACE = 1_600_000_000
"""Bytes of it that loading the libraries takes, most of which is never used."""
OTHER = ("The system refused what rote asked of it.", f"mend that and {AGAIN}")


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Translate what the system says about a run folder into errors of the pipeline.

    Args:
        folder: the run folder, named where the system names no file.

    Raises:
        RunFolderError: the system refused something: no room, no right, no such folder ...
        OutOfMemory: memory ran out.
    """
    try:
        yield
    except (PipelineError, ConnectionError):  # a closed pipe is a connection too
        raise
    except OSError as error:
        raise refused(error, folder) from error
    except MemoryError as error:
        raise OutOfMemory(
            "Memory ran out.",
            where=str(folder),
            found=str(error)[:200],
            fix=f"end other programs, or lower limits.workers or limits.memory, and {AGAIN}",
        ) from error


def require_address_space(failed: ImportError | None = None) -> None:
    """Refuse to begin where this process may not map what its libraries need.

    Args:
        failed: what could not be loaded; refused then under any limit, as too low a one.

    Raises:
        OutOfMemory: `ulimit -v` is too low.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or (limit >= ADDRESS_SPACE and failed is None):
        return
    raise OutOfMemory(
        "The address space of this process is too small to load what rote needs.",
        where="ulimit -v",
        found=f"{limit // 1024:,} kB",
        expected=f"at least {ADDRESS_SPACE // 1024:,} kB, several times that for Torch",
        fix="ulimit -v unlimited; to use less memory set limits.memory instead",
    ) from failed


def refused(error: OSError, folder: Path) -> RunFolderError:
    """Return the error for what the system refused to do in a folder.

    Args:
        error: what it raised.
        folder: named where the error names no file.
    """
    named = error.filename2 or error.filename
    place = Path(os.fsdecode(named)) if isinstance(named, str | bytes | Path) else folder
    ours = place == folder or folder in place.parents or place in folder.parents
    what, fix = FAULTS.get(error.errno or 0, OTHER) if ours else OTHER
    return RunFolderError(
        what,
        where=str(place),
        found=os.strerror(error.errno) if error.errno else str(error).partition("\n")[0][:200],
        fix=fix,
    )
