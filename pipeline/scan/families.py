"""Families: documents linked by pairs, by the same text, or by a repeated window.

Samples are drawn and folds are made of whole families, so that no text is on both sides.
"""

from __future__ import annotations

import pyarrow as pa

from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import read_table, write_table
from pipeline.scan.components import components, smallest_hash
from schemas.scan.copies import COPIES
from schemas.scan.families import FAMILIES
from schemas.scan.links import LINKS
from schemas.scan.pairs import PAIRS
from schemas.scan.signatures import SIGNATURES

VERSION = 2


def families(work: Work) -> Receipt:
    """Write the table `families`: each document's connected component.

    A component is named after its smallest text hash. A *reduce* stage: the edges are in memory.
    """
    signatures = read_table(work.paths("signatures"), SIGNATURES, ["row_key", "text_hash"])
    copies = read_table(work.paths("copies"), COPIES, ["row_key", "representative"])
    pairs = read_table(work.paths("pairs"), PAIRS, ["a", "b"])
    links = read_table(work.paths("links"), LINKS)
    keys = signatures["row_key"].to_numpy()
    edges = [copies.select(["row_key", "representative"]), pairs, links]
    labels = components(keys, edges)
    names = smallest_hash(labels, signatures["text_hash"])
    with write_table(work.folder, "families", work.key, FAMILIES) as out:
        out.write(pa.table({"row_key": keys, "family": names}))
    return Receipt(
        (out.record,), len(keys), out.rows, {"families": int(labels.max(initial=-1)) + 1}
    )
