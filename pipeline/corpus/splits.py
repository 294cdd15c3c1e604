"""The splits of a data set, and the source groups of its files, as paths tell them.

A split is told by a word of a file's name or of its folders, as on the Hugging Face hub:
`data/test-00000-of-00001.parquet`, `validation/a.jsonl`, `dev.csv`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePath

TRAIN, VALIDATION, TEST = "train", "validation", "test"
TOP_FOLDER = "(top folder)"
WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "dev": VALIDATION,
    "val": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "eval": TEST,
    "evaluation": TEST,
}
_BETWEEN = re.compile(r"[-._ 0-9]+")


def split_of(parts: Collection[str], format: str) -> str | None:
    """Return the split that the path of a file tells: its name first, then the nearest folder.

    A name that tells two splits tells none. Of text files, whose names and folders say what they
    are about, the outermost folder alone counts, and source code tells none.

    Args:
        parts: the path below the corpus, folder by folder, the file last.
        format: of the file; "code" for plain text that is not known by its suffix.
    """
    if format == "code":
        return None
    *folders, name = parts
    looked_at = folders[:1] if format == "text" else [name, *reversed(folders)]
    for part in looked_at:
        told = {WORDS[word] for word in _BETWEEN.split(part.lower()) if word in WORDS}
        if told:
            return told.pop() if len(told) == 1 else None
    return None


def labels(roots: Collection[Path]) -> Mapping[Path, str]:
    """Return the name of each of several folders that were given as the corpus; empty for one.

    It is the folder's own name, or its path below their common parent where two have one name.
    """
    if len(roots) < 2:
        return {}
    names = {root: root.name for root in roots}
    if len(set(names.values())) == len(names):
        return names
    common = os.path.commonpath(list(roots))
    return {root: root.relative_to(common).as_posix() for root in roots}


def source_group(label: str, below: PurePath, split: str | None) -> str:
    """Return the group of a file's rows that have no source: root, folder and split.

    Args:
        label: of its root, where several were given.
        below: the path of the file below its root.
        split: of the file, where the corpus has several.
    """
    folder = below.parent.as_posix()
    parts = [part for part in (label, folder) if part not in ("", ".")]
    if split is not None and split not in (folder.rpartition("/")[2], label):
        parts.append(split)
    return "/".join(parts) or TOP_FOLDER
