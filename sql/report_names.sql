-- grain: one row per wanted document
-- inputs: documents
-- params: keys (row_keys wanted)
with wanted as (
    select unnest($keys) as row_key
)

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
order by row_key
