-- grain: one row per document and name that it answers to: its id, or shard#row
-- inputs: $counts (files), wanted (name)
-- params: none
with counts as (
    select row_key, doc_id, shard, row, representative, text_hash from read_parquet($counts)
),

named as (
    select row_key, doc_id, representative, text_hash, doc_id as name from counts
    union
    select row_key, doc_id, representative, text_hash, shard || '#' || cast(row as varchar) as name
    from counts
)

select
    n.name,
    n.row_key,
    n.doc_id,
    n.representative,
    n.text_hash
from named as n
inner join wanted as w on n.name = w.name
order by n.row_key, n.name
