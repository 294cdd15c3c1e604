-- grain: one row per action, rule and reason
-- inputs: documents, decisions
-- params: none
with documents as (
    select row_key, text_bytes
    from read_parquet($documents)
),

decisions as (
    select row_key, action, rule, reason
    from read_parquet($decisions)
)

select
    decisions.action,
    decisions.rule,
    decisions.reason,
    cast(count(*) as bigint) as documents,
    cast(coalesce(sum(documents.text_bytes), 0) as bigint) as text_bytes
from decisions
inner join documents on decisions.row_key = documents.row_key
group by decisions.action, decisions.rule, decisions.reason
order by decisions.action, decisions.rule nulls first, decisions.reason nulls first
