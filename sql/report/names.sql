-- grain: one row per wanted document
-- inputs: documents, decisions
-- params: keys (row_keys wanted)
with wanted as (
    select unnest($keys) as row_key
),

documents as (
    select
        row_key,
        doc_id,
        shard,
        row as shard_row,
        source_group,
        text_bytes,
        words,
        exact_count,
        near_count,
        max_window_count
    from read_parquet($documents)
    where row_key in (select wanted.row_key from wanted)
),

decisions as (
    select row_key, coalesce(reason, '') = 'forgotten' as forgotten
    from read_parquet($decisions)
    where row_key in (select wanted.row_key from wanted)
)

select
    documents.*,
    decisions.forgotten
from documents
inner join decisions on documents.row_key = decisions.row_key
order by documents.row_key
