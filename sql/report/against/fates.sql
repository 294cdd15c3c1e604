-- grain: one row per fate before and now of documents (the same: shard, row, text agree); null: not there
-- inputs: documents, decisions, documents_before, decisions_before
-- params: none
with now as (
    select
        documents.shard,
        documents.row,
        documents.text_hash,
        documents.text_bytes,
        case when decisions.action = 'drop' then decisions.reason else 'kept' end as fate
    from read_parquet($documents) as documents
    inner join read_parquet($decisions) as decisions on documents.row_key = decisions.row_key
),

before as (
    select
        documents.shard,
        documents.row,
        documents.text_hash,
        documents.text_bytes,
        case when decisions.action = 'drop' then decisions.reason else 'kept' end as fate
    from read_parquet($documents_before) as documents
    inner join read_parquet($decisions_before) as decisions on documents.row_key = decisions.row_key
)

select
    before.fate as before,
    now.fate as now,
    cast(count(*) as bigint) as documents,
    cast(sum(coalesce(now.text_bytes, before.text_bytes)) as bigint) as text_bytes
from now
full join before
    on now.shard = before.shard and now.row = before.row and now.text_hash = before.text_hash
group by before.fate, now.fate
order by before nulls first, now nulls first
