"""The files of evaluation items: what is read of them, and the digest that stands for them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pipeline.config.sections import Config
from pipeline.corpus import content_digest, find_shards, identify
from pipeline.corpus.files import further
from pipeline.engine.memory import budget_of
from pipeline.errors import InputError
from pipeline.matching.fields import TABLE_BYTES, Fields, read_fields

MISSING = "missing"  # in place of the digests of files that cannot be read


def evaluation_fields(config: Config) -> Fields:
    """Return the fields of the evaluation files.

    Raises:
        InputError: When a file cannot be read, or no row has a text.
        ConfigError: When there is more text than there is room for.
    """
    asked = config.decontaminate
    room = budget_of(config) // (4 * TABLE_BYTES)
    return read_fields(asked.files, config.input, asked.columns, room)


def digests(_folder: Path, config: Config) -> list[list[str]] | str:
    """Return the name and the digest of each evaluation file, for the fingerprint."""
    try:
        shards, _ = find_shards(config.decontaminate.files, further(config.input))
        return [[shard.name, _digest(shard.path, identify(Path(shard.path)))] for shard in shards]
    except InputError:
        return MISSING


@lru_cache(4096)
def _digest(path: str, _known: tuple[int, int, str]) -> str:
    """Return the digest of a file, read once while its size, time and tail stay the same."""
    return content_digest(Path(path))
