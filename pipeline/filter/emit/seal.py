"""The last stage of a filter: what is in kept/, with row counts and digests, and `_SUCCESS`.

`_SUCCESS` is there only while kept/ is whole: it is taken away before a shard is written anew, and
comes back last.
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
MANIFEST = "_manifest.json"  # readers of folders leave names with _ alone
FOLDERS = ("kept", "removed")


def settings(config: Config) -> list[Any]:
    """Return what of the configuration the files depend on."""
    own = config.mitigation
    return [own.memfree_n, own.memfree_risk, own.memfree_bits, tokenizer_digest(config)]


def also_needs(config: Config) -> tuple[str, ...]:
    """Return the stages that the Bloom filter is made from."""
    return ("sequences", "risk") if config.mitigation.memfree_n else ()


def seal(work: Work) -> Receipt:
    """Reduce: write the Bloom filter if there is to be one, then kept/_manifest.json, _SUCCESS."""
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
    own = sorted((r for r in records if r.table == folder), key=lambda record: record.path)
    told = {
        "rows": sum(record.rows for record in own),
        "bytes": sum(record.bytes for record in own),
        "digest": "BLAKE2b-128 of the file's bytes, hex",
        "counted_in": work.scan,
        "files": [
            {
                "path": record.path.removeprefix(f"{folder}/"),
                "rows": record.rows,
                "bytes": record.bytes,
                "digest": record.digest,
            }
            for record in own
        ],
    }
    data = json.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n"
    return _named(work, folder, MANIFEST, data)


def _named(work: Work, folder: str, name: str, data: bytes) -> FileRecord:
    """Write a file that is no table of its folder."""
    return replace(write_file(work.folder, folder, name, data), table="seal")
