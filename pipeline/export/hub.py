"""The kept rows as a folder to push to a hub: data/, a card (README.md) and croissant.json.

Files of data are links to those of kept/ where the file system has them, so that nothing is
doubled; a later filter writes new files and leaves these as they are.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.engine.files import temporary_of, write_whole
from pipeline.engine.progress import current
from pipeline.engine.shards import active_shards, output_names
from pipeline.engine.system import writing
from pipeline.export.card import card
from pipeline.export.croissant import croissant
from pipeline.export.hub_set import DATA, HubFile, HubSet
from pipeline.export.source import Source, read_source, require_kept, require_new

CARD, CROISSANT = "README.md", "croissant.json"


def to_hub(folder: Path, target: Path, stale: Collection[str] = (), name: str = "") -> HubSet:
    """Make a new folder of the kept rows, their card and their Croissant file.

    Args:
        folder: the run folder.
        target: the new folder.
        stale: tables of an earlier scan or setting.
        name: of the set; the folder's without one.

    Raises:
        InputError: There is nothing kept, or something is in the place of the folder.
        IntegrityError: A file of the run is not as it was written.
    """
    require_new(target, "--hub")
    source = read_source(folder, stale)
    require_kept(source)
    place = temporary_of(target.absolute())
    with writing(target.absolute().parent):
        try:
            files = _files(source, place)
            schema = pq.read_schema(place / files[0].path) if _is_parquet(files) else None
            made = HubSet(name or target.absolute().name, source, tuple(files), schema)
            write_whole(place / CROISSANT, croissant(made).encode())
            write_whole(place / CARD, card(made).encode())
            place.replace(target)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return made


def _files(source: Source, place: Path) -> list[HubFile]:
    """Put the files of kept/ below data/, by split."""
    splits, files = _splits(source.manifest), []
    records = require_kept(source)
    for done, record in enumerate(records):
        below = record.path.removeprefix("kept/")
        split = splits.get(Path(below).with_suffix("").as_posix(), "train")
        path = f"{DATA}/{split}/{below}"
        digest = _placed(source.check(record), place / path)
        files.append(HubFile(path, split, record.rows, record.bytes, digest))
        current().advance(done + 1, len(records), below)
    return files


def _is_parquet(files: list[HubFile]) -> bool:
    return files[0].path.endswith(".parquet")


def _splits(manifest: dict[str, Any]) -> dict[str, str]:
    """Return the split of each file of kept/, by its name; empty where the corpus has one."""
    shards = active_shards(manifest)
    names = output_names(shards)
    return {names[shard.number]: shard.split for shard in shards if shard.split}


def _placed(path: Path, target: Path) -> str:
    """Link or copy a file to its place, and return the SHA-256 of its bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(path, target)
    with target.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
