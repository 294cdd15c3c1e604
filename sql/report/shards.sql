-- grain: one row per shard that holds a document
-- inputs: documents, decisions
-- params: none
with documents as (
    select row_key, shard, text_bytes
    from read_parquet($documents)
),

decisions as (
    select row_key, action
    from read_parquet($decisions)
)

select
    cast(documents.row_key >> 40 as bigint) as number,
    documents.shard,
    cast(count(*) as bigint) as documents,
    cast(count(*) filter (where decisions.action <> 'drop') as bigint) as kept,
    cast(sum(documents.text_bytes) as bigint) as text_bytes
from documents
inner join decisions on documents.row_key = decisions.row_key
group by documents.row_key >> 40, documents.shard
order by number, documents.shard
