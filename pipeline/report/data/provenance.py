"""What the numbers were made from: the digest of what each stage made, and of the corpus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.engine.run_folder import digest_of
from pipeline.engine.stage import Work
from pipeline.engine.tables import Row

OUTSIDE: dict[str, Any] = {
    "limits": True,
    "report": True,
    "minus": True,
    "decontaminate": {"files"},
}


def provenance(work: Work, manifest: Mapping[str, Any]) -> Row:
    """Return `provenance` of report.json: digests of each stage, of all shards, of all settings.

    Settings are those that change what is computed, so not `limits` and `report`.

    Only stages that the report reads are in it. A stage of several units has the digest of their
    digests.
    """
    read = {name for names in work.tables.values() for name in names}
    units: dict[str, list[str]] = {}
    for output, entry in sorted(manifest["outputs"].items()):
        if any(record["path"] in read for record in entry["files"]):
            units.setdefault(output.partition("/")[0], []).append(entry["digest"])
    shards = [
        [shard["name"], shard["content_digest"]]
        for shard in manifest["corpus"]["shards"]
        if shard["active"]
    ]
    settings = work.config.model_dump(mode="json", exclude=OUTSIDE)
    return {
        "corpus": digest_of(sorted(shards)),
        "settings": digest_of(settings),
        "stages": [
            {
                "stage": stage,
                "digest": digests[0] if len(digests) == 1 else digest_of(digests),
            }
            for stage, digests in units.items()
        ],
    }
