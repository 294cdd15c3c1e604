-- grain: one row per document that answers to a name, in order of shard and row
-- inputs: counts
-- params: doc_id, other_id; shard and shard_row (of shard#row, else null); most (rows returned)
select
    row_key,
    doc_id,
    shard,
    row as shard_row,
    source,
    split,
    source_group,
    text_bytes,
    words,
    symbols,
    text_hash,
    representative,
    exact_count,
    near_capped,
    max_window_count,
    repeated_words
from read_parquet($counts)
where
    doc_id in ($doc_id, $other_id)
    or (shard = $shard and row = $shard_row)
order by row_key
limit $most
