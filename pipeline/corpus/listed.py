"""Lists of files: `@list.txt` stands for the paths in it, one a line."""

from __future__ import annotations

from pathlib import Path

from pipeline.corpus.files import reading
from pipeline.errors import InputError
from pipeline.storage.addresses import is_address

MARK, COMMENT = "@", "#"
MOST_BYTES = 1 << 30  # of a list


def is_list(root: str) -> bool:
    """Tell whether a part of a corpus is a list of files, and no file of that name."""
    return root.startswith(MARK) and not Path(root).exists()


def absolute(root: str) -> str:
    """Return a part of a corpus that means the same from any folder; links are resolved."""
    if is_address(root):
        return root
    if is_list(root):
        return f"{MARK}{Path(root.removeprefix(MARK)).resolve()}"
    return str(Path(root).resolve())


def paths_of(root: str) -> tuple[Path, list[str]]:
    """Return the folder of a list and the paths in it; blank lines and comments are skipped.

    A relative path is one from the folder of the list.

    Raises:
        InputError: When there is no such list, or nothing is in it.
    """
    path = Path(root.removeprefix(MARK)).expanduser().absolute()
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise InputError(
            "The list of files cannot be read.",
            where=str(path),
            found="no file of this name" if not path.exists() else "no list",
            expected="a text file with a path on each line",
            fix="check the path",
        )
    with reading(str(path)):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if line and not line.startswith(COMMENT)]
    if not found:
        raise InputError("The list of files is empty.", where=str(path), expected="a path a line")
    return path.parent, [str(path.parent / line) for line in found]
