"""Finish a filter: list the files of kept/ and removed/ with their digests, then write `_SUCCESS`.

The lists are in a folder of their own: there are readers that take every file in kept/ for data,
empty ones aside. `_SUCCESS` is there only while kept/ is whole: it is removed before a shard is
written again, and is written last.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pipeline.config.sections import Config
from pipeline.engine.files import write_file
from pipeline.engine.run_folder import SUCCESS
from pipeline.engine.stage import FileRecord, Receipt, Work
from pipeline.filter.mitigations.goldfish import tokenizer_digest
from pipeline.filter.mitigations.memfree import memfree

VERSION = 3
LISTS = "lists"
FOLDERS = ("kept", "removed")


def settings(config: Config) -> list[Any]:
    """Return the settings that the files depend on."""
    mitigation = config.mitigation
    return [
        mitigation.memfree_n,
        mitigation.memfree_words,
        mitigation.memfree_risk,
        mitigation.memfree_bits,
        tokenizer_digest(config),
    ]


def has_memfree(config: Config) -> bool:
    """Tell whether a filter for decoding is asked for."""
    return bool(config.mitigation.memfree_n or config.mitigation.memfree_words)


def also_needs(config: Config) -> tuple[str, ...]:
    """Return the names of the stages that the Bloom filters are made from."""
    return ("sequences", "risk") if has_memfree(config) else ()


def seal(work: Work) -> Receipt:
    """Write the Bloom filters that are set, then the two lists of files, then kept/_SUCCESS.

    A *reduce* stage.
    """
    files, facts = [], dict[str, Any]()
    if has_memfree(work.config):
        made, facts = memfree(work)
        files.extend(made)
    records = [record for record in work.records if record.table in FOLDERS]
    files.extend(_manifest(work, folder, records) for folder in FOLDERS)
    mark = write_file(work.folder, "kept", SUCCESS, b"")
    files.append(replace(mark, table="seal"))  # it is none of the rows'
    rows = sum(record.rows for record in records)
    return Receipt(tuple(files), rows, rows, facts)


def _manifest(work: Work, folder: str, records: list[FileRecord]) -> FileRecord:
    """Write the list of a folder's files, by path."""
    files = sorted((r for r in records if r.table == folder), key=lambda record: record.path)
    manifest = {
        "rows": sum(record.rows for record in files),
        "bytes": sum(record.bytes for record in files),
        "digest": "BLAKE2b-128 of the file's bytes, hex",
        "counted_in": work.scan,
        "files": [
            {
                "path": record.path.removeprefix(f"{folder}/"),
                "rows": record.rows,
                "bytes": record.bytes,
                "digest": record.digest,
            }
            for record in files
        ],
    }
    data = json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n"
    return write_file(work.folder, LISTS, f"{folder}.json", data)
