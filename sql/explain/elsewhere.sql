-- grain: one row per repeated text and other document that repeats it, at most $each of a text
-- inputs: spans, counts
-- params: windows (names of the repeated texts), row_key (of the document asked for), each
with wanted as (
    select unnest($windows) as "window"
),

others as (
    select distinct
        "window",
        row_key
    from read_parquet($spans)
    where "window" in (select wanted.window from wanted) and row_key <> $row_key
),

named as (
    select
        others.window,
        others.row_key,
        counts.doc_id,
        counts.shard,
        counts.row as shard_row,
        count(*) over (partition by others.window) as documents,
        row_number() over (partition by others.window order by others.row_key) as place
    from others
    inner join read_parquet($counts) as counts on others.row_key = counts.row_key
)

select
    "window",
    row_key,
    doc_id,
    shard,
    shard_row,
    cast(documents as bigint) as documents
from named
where place <= $each
order by "window", row_key
