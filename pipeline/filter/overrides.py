"""What people ask for by name: rows to bring back, rows to forget. The manifest keeps both.

They are found by id, or as shard#row. A row that is brought back is known by its key and the hash
of its text, so that another text in its place is not; a row to forget by the hash alone, so that it
stays out of later scans as well.
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
from pipeline.scan.shingle_sets import at_least
from schemas.scan.counts import COUNTS
from schemas.scan.pairs import PAIRS

NAMES_TOLD = 5
UNTRUE = ("report/all", "seal/all")  # outputs that say what a text to forget is still part of


def restore(out: Path, names: Sequence[str], *, undo: bool = False) -> int:
    """Note that rows are to stay whatever the rules say, or with `undo` no longer; return how many.

    The next filter acts on it. Raises ConfigError when a name is no document's.
    """
    with open_run(out) as run:
        rows = find(run, names)
        listed = {(row["row_key"], row["text_hash"]) for row in run.manifest.get("restored", ())}
        own = set(zip(rows["row_key"].to_pylist(), _hex(rows["text_hash"]), strict=True))
        listed = listed - own if undo else listed | own
        run.manifest["restored"] = [
            {"row_key": key, "text_hash": text} for key, text in sorted(listed)
        ]
        run.save()
        return len(own)


def forget(out: Path, names: Sequence[str], config: Config) -> int:
    """Note that rows, their exact copies and verified near copies are to go for good.

    Return how many texts. The filter acts on it; what goes now is kept/_SUCCESS and the report,
    which may quote them.
    """
    with open_run(out) as run:
        rows = find(run, names)
        own = set(_hex(rows["text_hash"]))
        near = set(_hex(_near_texts(run, rows["representative"].to_numpy(), config))) - own
        listed = {text["text_hash"]: text["named"] for text in run.manifest.get("forgotten", ())}
        listed |= {text: listed.get(text, False) for text in near} | dict.fromkeys(own, True)
        run.manifest["forgotten"] = [
            {"text_hash": text, "named": named} for text, named in sorted(listed.items())
        ]
        run.forget(UNTRUE)
        run.save()
        return len(own | near)


def find(run: RunFolder, names: Sequence[str]) -> pa.Table:
    """Return the rows of these names: row_key, doc_id, representative, text_hash."""
    counts = run.paths("counts")
    wanted = pa.table({"name": pa.array(sorted(set(names)), pa.string())})
    rows = query("filter/named_rows", {"counts": counts, "wanted": wanted}) if counts else None
    found = set() if rows is None else set(rows["name"].to_pylist())
    unknown = [name for name in names if name not in found]
    if rows is None or unknown:
        raise ConfigError(
            "No document of this run has that id.",
            where=str(run.folder),
            found=", ".join(repr(name)[:80] for name in unknown[:NAMES_TOLD]),
            expected="the id of a row, or shard#row",
            fix=f"look for it: rote explain {run.folder} DOC_ID",
        )
    return rows


def _near_texts(run: RunFolder, representatives: np.ndarray, config: Config) -> pa.ChunkedArray:
    """Return the hashes of the texts that are verified near copies of some."""
    top, bottom = at_least(config.near.threshold)
    paths = run.paths("pairs")
    pairs = read_table(paths, PAIRS, ["a", "b", "inter", "union"])
    inter, union = (pairs[name].to_numpy().astype(np.int64) for name in ("inter", "union"))
    a, b = (pairs[name].to_numpy() for name in ("a", "b"))
    near = inter * bottom >= top * union
    others = np.concatenate(
        [b[near & np.isin(a, representatives)], a[near & np.isin(b, representatives)]]
    )
    counts = run.paths("counts")
    table = read_table(counts, COUNTS, ["row_key", "text_hash"])
    return table.filter(pa.array(np.isin(table["row_key"].to_numpy(), others)))["text_hash"]


def _hex(hashes: pa.ChunkedArray) -> list[str]:
    return [value.hex() for value in hashes.to_pylist()]


def cannot_reach(manifest: dict[str, Any]) -> list[str]:
    """Return in words where a forgotten text may still be; empty when nothing was forgotten."""
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
