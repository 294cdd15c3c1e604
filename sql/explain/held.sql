-- grain: one row, the row of the other run that proves that it holds the document; none for no such
-- inputs: held
-- params: row_key
select
    method,
    shared,
    total,
    score,
    their_doc_id,
    their_shard,
    their_row,
    their_digest
from read_parquet($held)
where row_key = $row_key
order by row_key
