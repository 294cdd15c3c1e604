"""What the numbers were made from: the fingerprint of each output, the digest of the corpus."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pipeline.engine.stage import Work
from pipeline.engine.tables import Row


def provenance(work: Work, manifest: Mapping[str, Any]) -> Row:
    """Return `provenance` of report.json: a fingerprint per stage, one digest of all shards.

    Only stages that the report reads are in it. A stage of several units has the digest of their
    fingerprints.
    """
    read = {name for names in work.tables.values() for name in names}
    units: dict[str, list[str]] = {}
    for output, entry in sorted(manifest["outputs"].items()):
        if any(record["path"] in read for record in entry["files"]):
            units.setdefault(output.partition("/")[0], []).append(entry["fingerprint"])
    shards = [
        [shard["name"], shard["content_digest"]]
        for shard in manifest["corpus"]["shards"]
        if shard["active"]
    ]
    return {
        "corpus": _digest(sorted(shards)),
        "stages": [
            {
                "stage": stage,
                "fingerprint": fingerprints[0] if len(fingerprints) == 1 else _digest(fingerprints),
            }
            for stage, fingerprints in units.items()
        ],
    }


def _digest(value: object) -> str:
    """Return the BLAKE2b-128 hex of a value as JSON."""
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()
