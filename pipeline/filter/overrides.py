"""Restore or forget rows that people name. The manifest of the run lists both.

Rows are named by their id, or as shard#row. A restored row is known by its key and the hash of its
text, so that another text in its place is not restored. A row to forget is known by the hash alone,
so that the text stays out of later scans as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.sections import Config
from pipeline.engine.query import run as query
from pipeline.engine.run_folder import RunFolder, open_run
from pipeline.engine.tables import read_table
from pipeline.errors import ConfigError
from pipeline.filter.documents import reaching
from pipeline.filter.forgotten import FORGOTTEN
from schemas.scan.counts import COUNTS
from schemas.scan.pairs import PAIRS

RESTORED = "restored"  # key of the manifest
MOST_NAMED = 5  # unknown names in a message
OUTDATED = ("report/all", "seal/all")  # outputs that still describe a text to forget


def restore(out: Path, names: Sequence[str], *, undo: bool = False) -> int:
    """Enter rows that stay whatever the rules say, and return how many; the next filter obeys.

    Args:
        out: the run folder.
        names: ids of rows, or shard#row.
        undo: take the rows off the list again.

    Raises:
        ConfigError: When no document has one of the names.
    """
    with open_run(out) as run:
        rows = find(run, names)
        listed = {(row["row_key"], row["text_hash"]) for row in run.manifest.get(RESTORED, ())}
        named = set(zip(rows["row_key"].to_pylist(), _hex(rows["text_hash"]), strict=True))
        listed = listed - named if undo else listed | named
        run.manifest[RESTORED] = [
            {"row_key": key, "text_hash": text} for key, text in sorted(listed)
        ]
        run.save()
        return len(named)


def forget(out: Path, names: Sequence[str], config: Config) -> int:
    """Enter rows that are to be removed for good, with their copies; return how many texts.

    Copies are exact and verified near copies. The next filter removes them; at once removed are
    kept/_SUCCESS and the report, which may quote them.

    Args:
        out: the run folder.
        names: ids of rows, or shard#row.
        config: the settings; its threshold says what a near copy is.

    Raises:
        ConfigError: When no document has one of the names.
    """
    with open_run(out) as run:
        rows = find(run, names)
        texts = set(_hex(rows["text_hash"]))
        near = set(_hex(_near_texts(run, rows["representative"].to_numpy(), config))) - texts
        listed = {text["text_hash"]: text["named"] for text in run.manifest.get(FORGOTTEN, ())}
        listed |= {text: listed.get(text, False) for text in near} | dict.fromkeys(texts, True)
        run.manifest[FORGOTTEN] = [
            {"text_hash": text, "named": named} for text, named in sorted(listed.items())
        ]
        run.forget(OUTDATED)
        run.save()
        return len(texts | near)


def find(run: RunFolder, names: Sequence[str]) -> pa.Table:
    """Return name, row_key, doc_id, representative and text_hash of the rows of some names.

    Raises:
        ConfigError: When no document has one of the names.
    """
    counts = run.paths("counts")
    wanted = pa.table({"name": pa.array(sorted(set(names)), pa.string())})
    rows = query("filter/named_rows", {"counts": counts, "wanted": wanted}) if counts else None
    found = set() if rows is None else set(rows["name"].to_pylist())
    unknown = [name for name in names if name not in found]
    if rows is None or unknown:
        raise ConfigError(
            "No document of this run has that id.",
            where=str(run.folder),
            found=", ".join(repr(name)[:80] for name in unknown[:MOST_NAMED]),
            expected="the id of a row, or shard#row",
            fix=f"look for it: rote explain {run.folder} DOC_ID",
        )
    return rows


def _near_texts(run: RunFolder, representatives: np.ndarray, config: Config) -> pa.ChunkedArray:
    """Return the hashes of the texts that are verified near copies of some documents."""
    pairs = read_table(run.paths("pairs"), PAIRS, ["a", "b", "inter", "union"])
    near = reaching(pairs, "union", config.near.threshold)
    a, b = (near[name].to_numpy() for name in ("a", "b"))
    others = np.concatenate([b[np.isin(a, representatives)], a[np.isin(b, representatives)]])
    counts = run.paths("counts")
    table = read_table(counts, COUNTS, ["row_key", "text_hash"])
    return table.filter(pa.array(np.isin(table["row_key"].to_numpy(), others)))["text_hash"]


def _hex(hashes: pa.ChunkedArray) -> list[str]:
    return [value.hex() for value in hashes.to_pylist()]


def cannot_reach(manifest: dict[str, Any]) -> list[str]:
    """Return lines that say where a forgotten text may still be; none when nothing was forgotten.

    Args:
        manifest: the manifest of a run folder.
    """
    facts = manifest["outputs"].get("decisions/all", {}).get("facts", {}).get("forgotten")
    if not facts:
        return []
    rows, holders = facts["rows"], facts["kept_documents_that_share_a_window"]
    still = (
        "Of a forgotten text there is still: your own files; words/ (all its words in order), "
        "which a new run folder without the row does not have; what the proxies in models/ learnt;"
    )
    quoted = f"  {holders:,} kept documents share a passage of it (rote query finds them)."
    return [
        f"  forgotten{rows:>10,}  rows; removed/ names them without their values",
        still,
        quoted,
    ]
