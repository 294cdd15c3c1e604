-- grain: one row, the document's
-- inputs: counts
-- params: row_key
select
    row_key,
    doc_id,
    shard,
    row as shard_row,
    source,
    words,
    symbols,
    text_hash,
    representative
from read_parquet($counts)
where row_key = $row_key
order by row_key
