"""Remember which rows stayed in the filter before this scan, so that they stay again.

With `near.keepers = "stable"` they rank before all other rows, so a copy that a later scan brings
does not take the place of a row that was kept and perhaps delivered. The table is made once a scan,
from the last `documents` that there is, so it depends on the history of the run folder and on
nothing else: the same history gives the same bytes.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import Config
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import ROW_GROUP, evenly, read_batches, read_table, write_table
from pipeline.text.sorting import among
from schemas.filter.former import FORMER

VERSION = 1
STAYED = "stayed"
"""Column that `with_stayed` adds and `pipeline.filter.documents.ranks` looks at."""


def is_asked(config: Config) -> bool:
    """Tell whether rows that stayed are to stay."""
    return config.near.keepers == "stable"


def former(work: Work) -> Receipt:
    """Write `former`: the rows that no copy took the place of in the last filter.

    A *reduce* stage; it reads `documents` as an earlier scan or other settings left it.
    """
    rows = 0
    with write_table(work.folder, "former", work.key, FORMER) as out:
        for batch in evenly(_stayed(work), ROW_GROUP):
            rows += batch.num_rows
            out.write(batch)
    return Receipt((out.record,), rows, out.rows, {"rows": rows})


def _stayed(work: Work) -> list[pa.RecordBatch]:
    found = []
    for path in work.paths("documents"):
        for batch in read_batches(path, ["row_key", "text_hash", "keeper"]):
            kept = batch.filter(pc.is_null(batch["keeper"]))
            found.append(pa.record_batch([kept[name] for name in FORMER.names], FORMER.names))
    return found


def with_stayed(work: Work, rows: pa.Table) -> pa.Table:
    """Return rows with the column STAYED where the table `former` is there, else as they are.

    Args:
        work: the unit of work of a stage that reads `former`.
        rows: with `row_key`, in any order, and `text_hash`.
    """
    paths = work.paths("former")
    if not paths:
        return rows
    before = read_table(paths, FORMER)
    keys, known = rows["row_key"].to_numpy(), before["row_key"].to_numpy()
    at = np.minimum(np.searchsorted(known, keys), max(0, len(known) - 1))
    stayed = among(keys, known)
    if stayed.any():
        then = before["text_hash"].combine_chunks().take(pa.array(at[stayed]))
        now = rows["text_hash"].combine_chunks().filter(pa.array(stayed))
        stayed[stayed] = pc.equal(then.cast(pa.binary()), now.cast(pa.binary())).to_numpy(
            zero_copy_only=False
        )
    return rows.append_column(STAYED, pa.array(stayed))
