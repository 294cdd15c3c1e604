"""What a filtered corpus is worth by exact truth, whoever filtered it.

A removal is a document of the corpus whose id is not in the output. A pair is found when at least
one of its sides was removed. A removal is wrong at a threshold when no kept document has a Jaccard
of at least that threshold with it (a kept exact copy counts as 1): nothing stands for it.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

BANDS = """
    select 5 * p.inter >= 4 * p."union" as near,
        not (a.id in (from kept) and b.id in (from kept)) as found
    from pairs as p
    inner join documents as a on p.id_a = a.id
    inner join documents as b on p.id_b = b.id"""
ALIKE = """
    select id_a as id, id_b as other, 5 * inter >= 4 * "union" as near from pairs
    union all
    select id_b as id, id_a as other, 5 * inter >= 4 * "union" as near from pairs
    union all
    select x.id, y.id as other, true as near
    from groups as x inner join groups as y on x."group" = y."group" and x.id <> y.id"""
STANDING = """
    select d.id, count(k.id) as alike, count(k.id) filter (a.near) as near
    from documents as d
    left join alike as a on d.id = a.id
    left join kept as k on a.other = k.id
    where d.id not in (from kept)
    group by d.id"""
QUALITY = {
    "removed": "select count(*) from standing",
    "recall_0.8": "select avg(found::int) from bands where near",
    "side_removed_0.5_0.8": "select avg(found::int) from bands where not near",
    "wrong_at_0.8": "select count(*) from standing where near = 0",
    "wrong_at_0.5": "select count(*) from standing where alike = 0",
    "unknown_rows": "select count(*) from kept where id not in (from documents)",
}


def quality(documents: pa.Table, kept: pa.Table, truth: Path) -> dict[str, float]:
    """Hold the ids that were kept against exact truth; both tables have one column, id.

    TRUTH has pairs.parquet (id_a, id_b, inter, union; exact, >= 0.5) and exact_groups.parquet
    (group, id). Thresholds are compared as integers; pairs outside the corpus do not count.
    """
    connection = duckdb.connect()
    connection.register("documents", documents)
    connection.register("kept", kept)
    connection.register("pairs", pq.read_table(truth / "pairs.parquet"))
    connection.register("groups", pq.read_table(truth / "exact_groups.parquet"))
    for name, query in {"bands": BANDS, "alike": ALIKE, "standing": STANDING}.items():
        connection.register(name, connection.sql(query).to_arrow_table())
    return {name: connection.sql(query).fetchall()[0][0] for name, query in QUALITY.items()}
