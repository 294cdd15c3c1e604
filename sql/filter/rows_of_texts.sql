-- grain: one row per document of a listed text
-- inputs: $counts (files), listed (text_hash, named)
-- params: none
with counts as (
    select
        row_key,
        doc_id,
        shard || '#' || cast(row as varchar) as place,
        text_hash
    from read_parquet($counts)
)

select
    c.row_key,
    c.doc_id,
    c.place,
    l.named
from counts as c
inner join listed as l on c.text_hash = l.text_hash
order by c.row_key
