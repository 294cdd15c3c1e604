"""A filtered set as its card and its Croissant file describe it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.export.source import Source

DATA = "data"


@dataclass(frozen=True)
class HubFile:
    """One file of data.

    Attributes:
        path: in the folder, with forward slashes.
        split: train, validation or test.
        rows: in it.
        bytes: its size.
        sha256: of its bytes, hex.
    """

    path: str
    split: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class HubSet:
    """A filtered set as its card describes it.

    Attributes:
        name: of the set.
        source: the run that it is of.
        files: in order of their paths.
        schema: of the rows; None where they are JSON Lines.
    """

    name: str
    source: Source
    files: tuple[HubFile, ...]
    schema: pa.Schema | None

    @property
    def rows(self) -> int:
        """All kept rows."""
        return sum(file.rows for file in self.files)

    @property
    def splits(self) -> list[str]:
        """The splits that have files, train first."""
        known = {file.split for file in self.files}
        return [name for name in ("train", "validation", "test") if name in known]

    @property
    def suffix(self) -> str:
        """Of the files of data."""
        return Path(self.files[0].path).suffix
