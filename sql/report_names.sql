-- grain: one row per wanted document
-- inputs: documents
-- params: keys (row_keys wanted)
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
where list_contains($keys, row_key)
order by row_key
