"""The card of a filtered set: what it is, how it was made, what it may teach by rote.

Markdown with the YAML front matter that hubs read. No text of a document is in it.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.export.hub_set import DATA, HubSet
from pipeline.report.data.headline import forecast_facts, headline, no_forecast
from pipeline.report.summary import plain

SIZES = (10**3, 10**4, 10**5, 10**6, 10**7, 10**8, 10**9, 10**10)
REASONS = {
    "exact_copy": "exact copies of a row that stays",
    "near_copy": "near copies, each with its exact Jaccard to a row that stays",
    "contained": "excerpts of a longer row that stays",
    "risk": "at risk of being memorized",
    "short": "too little left after cutting",
    "forgotten": "forgotten on request",
    "personal": "rows with personal data",
}
STAYING = ("kept", "repeated", "restored", "personal_masked")


def card(made: HubSet) -> str:
    """Return README.md."""
    parts = [
        _front(made),
        f"# {plain(made.name)}",
        (
            "The rows that stayed of a corpus after `rote filter`: each copy that went is proved "
            f"against a row that is here. Each row has a column `{_column(made)}` with its "
            "counts in the corpus as it was."
        ),
        "## Rows",
        _rows(made),
        "## How it was filtered",
        _settings(made),
        "## What a model would recite of the corpus before the filter",
        _risk(made),
        "## What this card does not say",
        (
            "The licence, the origin and the personal data of the texts: fill them in before you "
            "publish. A forecast is a ranking aid and no privacy guarantee."
        ),
        _origin(made),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(made: HubSet) -> str:
    """Return the YAML at the top: name, size, tags, and where the files of each split are."""
    lines = ["---", f"pretty_name: {json.dumps(made.name)}", "tags:", "- rote", "- deduplicated"]
    lines += ["size_categories:", f"- {size_category(made.rows)}", "configs:"]
    lines += ["- config_name: default", "  data_files:"]
    for split in made.splits:
        lines += [f"  - split: {split}", f'    path: "{DATA}/{split}/**/*{made.suffix}"']
    return "\n".join([*lines, "---"])


def size_category(rows: int) -> str:
    """Return the class of size that hubs know, such as 1K<n<10K."""
    place = sum(rows >= size for size in SIZES)
    if place == 0:
        return "n<1K"
    if place == len(SIZES):
        return f"n>{_short(SIZES[-1])}"
    return f"{_short(SIZES[place - 1])}<n<{_short(SIZES[place])}"


def _short(size: int) -> str:
    for unit, name in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if size >= unit:
            return f"{size // unit}{name}"
    return str(size)


def _column(made: HubSet) -> str:
    return str(made.source.manifest["config"]["emit"]["column"])


def _rows(made: HubSet) -> str:
    """Return the table of what stayed, by split, and what went, by reason."""
    reasons = made.source.facts("decisions/all").get("reasons", {})
    lines = ["| rows | |", "| ---: | --- |"]
    for split in made.splits:
        own = [file for file in made.files if file.split == split]
        rows, size = sum(file.rows for file in own), sum(file.bytes for file in own)
        lines.append(f"| {rows:,} | {split}: {size:,} bytes, files: {len(own):,} |")
    lines += [
        f"| {count:,} | removed: {REASONS.get(reason, reason)} |"
        for reason, count in sorted(reasons.items())
        if reason not in STAYING
    ]
    rejected = _rejected(made.source.manifest)
    if rejected:
        lines.append(f"| {rejected:,} | rejected: no usable text |")
    return "\n".join(lines)


def _rejected(manifest: dict[str, Any]) -> int:
    shards = [shard for shard in manifest["corpus"]["shards"] if shard["active"]]
    return sum(sum((shard["rejected"] or {}).values()) for shard in shards)


def _settings(made: HubSet) -> str:
    """Return the settings that decided about rows, as TOML."""
    config = made.source.manifest["config"]
    lines = []
    for section, names in (
        ("near", ("threshold", "containment", "keep", "across_splits", "symbol_words", "sources")),
        ("policy", ("rules", "cut")),
        ("text", ("normalize",)),
        ("sketch", ("shingle_words",)),
        ("window", ("words",)),
    ):
        known = config.get(section, {})
        lines += [
            f"{section}.{name} = {json.dumps(known[name])}" for name in names if name in known
        ]
    return "\n".join(["```toml", *lines, "```"])


def _risk(made: HubSet) -> str:
    """Return the forecast in a sentence, or why there is none."""
    manifest = made.source.manifest
    if "risk" not in made.source.tables:
        return "It was not scored."
    risk, sequences = forecast_facts(manifest)
    said = headline(manifest["config"]["target"], risk)
    return plain(f"{said[:1].upper()}{said[1:]}.") if said else plain(no_forecast(risk, sequences))


def _origin(made: HubSet) -> str:
    manifest = made.source.manifest
    lists = {file["path"]: file["digest"] for file in manifest["outputs"]["seal/all"]["files"]}
    return (
        f"Made by rote {manifest['version']}, scan {manifest['scan']}; digest of the list of files "
        f"`{lists['lists/kept.json']}`. Columns and files are in croissant.json."
    )
