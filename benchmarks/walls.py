"""The limits of the code, and at which size a growing corpus meets each."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.carried import (
    ANCHOR_VALUES,
    DOCUMENT_BYTES,
    GB,
    MAPS,
    NODE_MEMORY,
    NUMBERS,
    SHARD_BYTES,
    SHARDS,
    TB,
    WINDOWS_AN_ANCHOR,
    constants,
    full_windows,
    measured,
    record,
)
from benchmarks.markdown import size_of, table


@dataclass(frozen=True)
class Wall:
    """A limit.

    Attributes:
        what: is reached.
        at: bytes of text at which it is.
        then: what happens.
        moves: what would move it.
    """

    what: str
    at: float
    then: str
    moves: str


def walls() -> list[Wall]:
    """Return the limits of the code, the first one that a growing corpus meets first."""
    last, driver = measured()[-1], record("constants")["driver"][-1]
    text = last["text_bytes"]
    document = text / last["documents"]
    windows = last["windows"]["windows"] / text
    folder = (last["folder_bytes"] + max(stage.aside for stage in constants()) * text) / text
    entry = driver["manifest_bytes"] / driver["shards"]
    alone = sum(stage.cpu_s * stage.serial for stage in constants() if stage.name not in MAPS)
    return sorted(
        [
            Wall(
                f"{NODE_MEMORY / GB:.0f} GB of a node, at {DOCUMENT_BYTES} bytes a document",
                NODE_MEMORY / DOCUMENT_BYTES * document,
                "refused before it begins, with the memory that would do",
                "a larger node for the driver (768 GB: twelve times); families, counts and keepers by component",
            ),
            Wall(
                "as many anchors as the two-bit table tells apart, by 32 bits",
                ANCHOR_VALUES * WINDOWS_AN_ANCHOR / windows,
                "two thirds of the windows that do not repeat are counted as if they might: "
                f"`windows` costs up to {full_windows():.1f} times as much",
                "a table of 40 bits, range by range of hashes, from anchors that have as many",
            ),
            Wall(
                "a day of what one core does alone in the reduces",
                86_400 / alone * GB,
                "more nodes shorten nothing",
                "`candidates` and the joins in parts; parts that write their own rows of a table",
            ),
            Wall(
                "numbers of 32 bits for documents",
                NUMBERS * document,
                "refused after the sketch",
                "64 bits in `windows` and `candidates`; twice their memory for a document",
            ),
            Wall(
                "one expected wrong count of a window",
                2**32.5 / windows,
                "the report says how many are expected; it grows with the square",
                "hashes of 96 bits",
            ),
            Wall(
                f"a manifest of 1 GB, with shards of {SHARD_BYTES / 1e6:.0f} MB",
                1e9 / entry * SHARD_BYTES,
                f"each saving takes {driver['record_s'] * 1e9 / driver['manifest_bytes']:.0f} s of the driver, a "
                "twentieth of the time at most",
                "larger shards; a registry of its own, saved once a scan",
            ),
            Wall(
                f"24 bits for numbers of shards, at {SHARD_BYTES / 1e6:.0f} MB",
                SHARDS * SHARD_BYTES,
                "refused before it begins",
                "larger shards, or more bits of a key",
            ),
            Wall(
                f"a disk of 4 TB for the run folder, {folder:.1f} times the text",
                4 * TB / folder,
                "refused before it begins",
                "a file system that nodes share",
            ),
        ],
        key=lambda wall: wall.at,
    )


def walls_table() -> str:
    """Return the limits as a table."""
    rows = [[wall.what, size_of(wall.at), wall.then, wall.moves] for wall in walls()]
    head = ["limit", "at", "then", "what would move it"]
    return table(head, rows, text=(0, 2, 3))
