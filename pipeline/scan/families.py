"""Families: documents linked by pairs, by the same text, or by a repeated window.

Samples are drawn and folds are made of whole families, so that no text is on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import pyarrow as pa

from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import read_batches, read_table, write_table
from pipeline.scan.components import components, smallest_hash
from schemas.scan.copies import COPIES
from schemas.scan.families import FAMILIES
from schemas.scan.links import LINKS
from schemas.scan.signatures import SIGNATURES

VERSION = 2


def families(work: Work) -> Receipt:
    """Write the table `families`: each document's connected component.

    A component is named after its smallest text hash. A *reduce* stage.
    """
    signatures = read_table(work.paths("signatures"), SIGNATURES, ["row_key", "text_hash"])
    copies = read_table(work.paths("copies"), COPIES, ["row_key", "representative"])
    keys = signatures["row_key"].to_numpy()
    labels = components(keys, chain([copies], _edges(work)))
    names = smallest_hash(labels, signatures["text_hash"])
    with write_table(work.folder, "families", work.key, FAMILIES) as out:
        out.write(pa.table({"row_key": keys, "family": names}))
    return Receipt(
        (out.record,), len(keys), out.rows, {"families": int(labels.max(initial=-1)) + 1}
    )


def _edges(work: Work) -> Iterator[pa.RecordBatch]:
    """Yield the pairs of near copies, and of documents that share a repeated window."""
    for table, columns in (("pairs", ["a", "b"]), ("links", LINKS.names)):
        for path in work.paths(table):
            yield from read_batches(path, columns)
