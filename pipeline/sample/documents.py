"""What the sample is made of: documents, and the record of those that were planted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class SampleDocument:
    """One row to be written.

    Attributes:
        id: name of the document.
        text: may be null, which is a case to be rejected.
        source: path-like; its first segment is the group.
        package: the software that the text came with.
        tags: what kind of text it is.
        shard: file to be written to; without it the hash of the id decides.
    """

    id: str
    text: str | None
    source: str
    package: str | None = None
    tags: tuple[str, ...] = ()
    shard: str | None = None

    @property
    def text_bytes(self) -> int:
        """Return the size of the text in UTF-8, in bytes."""
        return len((self.text or "").encode())

    @property
    def group(self) -> str:
        """Return the first segment of the source."""
        return self.source.split("/", 1)[0]


@dataclass(frozen=True)
class PlantedCase:
    """One planted case: which documents belong together, how, and how often the text occurs.

    Attributes:
        family: name of the case.
        kind: `whole` (exact copies of a document), `passage` (one passage inside different
            documents),
        `near` (the second is the first with edits), `contained` (the first lies inside the second),
        `cjk`, `short`, `wordless`, `empty` or `null`.
        dose: exact number of occurrences of the text of the first id, without its own frame for
            `passage`;
        1 where no text is repeated.
        ids: of the documents.
        detail: the edit and its rate.
    """

    family: str
    kind: str
    dose: int
    ids: tuple[str, ...]
    detail: str = ""


def rank(seed: int, name: str) -> int:
    """Return a 64-bit number that orders names as if at random, the same on every machine."""
    return int.from_bytes(
        hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), "big"
    )
