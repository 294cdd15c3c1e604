"""Which pairs of documents are worth verifying.

Exact groups first, then bands of their representatives.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import minhash
from pipeline.query import Limits, run, stream
from pipeline.signatures import signature_matrix
from pipeline.stage import Receipt, Work
from pipeline.store import count_rows, read_batches, read_table, write_table
from schemas.buckets import BUCKETS
from schemas.candidates import CANDIDATES
from schemas.copies import COPIES

VERSION = 1
BAND_KEYS = pa.schema(
    [
        ("band", pa.int32()),
        ("bucket", pa.uint64()),
        ("place", pa.uint64()),
        ("row_key", pa.uint64()),
    ]
)
CURVE_AT = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def limits(work: Work) -> Limits:
    """Return what a query of this unit may use."""
    return Limits(work.memory // 2, work.cores, work.folder)


def copies(work: Work) -> Receipt:
    """Reduce: group documents by their text hash."""
    with write_table(work.folder, "copies", work.key, COPIES) as out:
        for batch in stream(
            "copies", {"signatures": work.paths("signatures")}, limits=limits(work)
        ):
            out.write(batch)
    return Receipt((out.record,), count_rows(work.paths("signatures")), out.rows)


def candidates(work: Work) -> Receipt:
    """Reduce: bucket the representatives by band, pair each bucket.

    Large buckets are capped and counted.
    """
    config = work.config
    keys = pa.RecordBatchReader.from_batches(BAND_KEYS, band_keys(work))
    with write_table(work.folder, "buckets", work.key, BUCKETS) as buckets:
        for batch in stream("buckets", {"band_keys": keys}, limits=limits(work)):
            buckets.write(batch)
    inputs = {"buckets": [work.folder / buckets.record.path]}
    params = {"cap": config.near.bucket_cap, "neighbours": config.near.neighbours}
    with write_table(work.folder, "candidates", work.key, CANDIDATES) as out:
        for batch in stream("candidates", inputs, params, limits(work)):
            out.write(batch)
    capped = run(
        "capped", inputs, {"cap": config.near.bucket_cap}, limits=limits(work)
    ).to_pylist()[0]
    curve = {
        str(s): round(minhash.s_curve(s, config.sketch.bands, config.sketch.rows), 6)
        for s in CURVE_AT
    }
    return Receipt(
        (buckets.record, out.record),
        buckets.rows,
        out.rows,
        {
            "candidates": out.rows,
            "s_curve": curve,
            "bands": config.sketch.bands,
            "rows": config.sketch.rows,
            **capped,
        },
    )


def band_keys(work: Work) -> Iterator[pa.RecordBatch]:
    """Yield one row per band and representative that has words."""
    groups = read_table(work.paths("copies"), COPIES, ["row_key", "representative"])
    alone = pc.equal(groups["row_key"], groups["representative"])
    representatives = groups.filter(alone)["row_key"].to_numpy()
    sketch = work.config.sketch
    for path in work.paths("signatures"):
        for batch in read_batches(path, ["row_key", "text_hash", "signature"], 8192):
            kept = batch.filter(pa.array(np.isin(batch["row_key"].to_numpy(), representatives)))
            rows, values = signature_matrix(kept["signature"], sketch.bands * sketch.rows)
            keys = minhash.band_keys(values, sketch.bands, sketch.rows)
            taken = kept.take(pa.array(rows))
            low = np.frombuffer(b"".join(taken["text_hash"].to_pylist()), np.uint64).reshape(-1, 2)[
                :, 0
            ]
            bands = np.arange(sketch.bands, dtype=np.uint64)
            # an odd multiplier per band: a different order of the same texts in every band
            place = low[:, None] * (bands * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1))[None, :]
            yield pa.record_batch(
                [
                    pa.array(np.tile(np.arange(sketch.bands, dtype=np.int32), len(rows))),
                    pa.array(keys.reshape(-1)),
                    pa.array(place.reshape(-1)),
                    pa.array(np.repeat(taken["row_key"].to_numpy(), sketch.bands)),
                ],
                schema=BAND_KEYS,
            )
