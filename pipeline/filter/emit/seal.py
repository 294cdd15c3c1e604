"""Finish a filter: list the files of kept/ and removed/ with their digests, then write `_SUCCESS`.

`_SUCCESS` is there only while kept/ is whole: it is removed before a shard is written again, and is
written last.
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

VERSION = 1
MANIFEST = "_manifest.json"  # readers of folders skip names that begin with _
FOLDERS = ("kept", "removed")


def settings(config: Config) -> list[Any]:
    """Return the settings that the files depend on."""
    mitigation = config.mitigation
    return [
        mitigation.memfree_n,
        mitigation.memfree_risk,
        mitigation.memfree_bits,
        tokenizer_digest(config),
    ]


def also_needs(config: Config) -> tuple[str, ...]:
    """Return the names of the stages that the Bloom filter is made from."""
    return ("sequences", "risk") if config.mitigation.memfree_n else ()


def seal(work: Work) -> Receipt:
    """Write the Bloom filter if one is set, then the two `_manifest.json`, then kept/_SUCCESS.

    A *reduce* stage.
    """
    files, facts = [], dict[str, Any]()
    if work.config.mitigation.memfree_n:
        made, facts["memfree"] = memfree(work)
        files.append(made)
    records = [record for record in work.records if record.table in FOLDERS]
    files.extend(_manifest(work, folder, records) for folder in FOLDERS)
    files.append(_named(work, "kept", SUCCESS, b""))
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
    return _named(work, folder, MANIFEST, data)


def _named(work: Work, folder: str, name: str, data: bytes) -> FileRecord:
    """Write a file of the seal itself into a folder of rows."""
    return replace(write_file(work.folder, folder, name, data), table="seal")
