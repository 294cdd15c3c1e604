-- grain: one row per source group whose documents or kept documents changed in number, the most changed first
-- inputs: documents, decisions, documents_before, decisions_before
-- params: top (rows returned)
with now as (
    select
        documents.source_group,
        count(*) as documents,
        count(*) filter (where decisions.action <> 'drop') as kept
    from read_parquet($documents) as documents
    inner join read_parquet($decisions) as decisions on documents.row_key = decisions.row_key
    group by documents.source_group
),

before as (
    select
        documents.source_group,
        count(*) as documents,
        count(*) filter (where decisions.action <> 'drop') as kept
    from read_parquet($documents_before) as documents
    inner join read_parquet($decisions_before) as decisions on documents.row_key = decisions.row_key
    group by documents.source_group
),

joined as (
    select
        coalesce(now.source_group, before.source_group) as source_group,
        cast(coalesce(before.documents, 0) as bigint) as documents_before,
        cast(coalesce(now.documents, 0) as bigint) as documents_now,
        cast(coalesce(before.kept, 0) as bigint) as kept_before,
        cast(coalesce(now.kept, 0) as bigint) as kept_now
    from now
    full join before on now.source_group = before.source_group
)

select *
from joined
where documents_before <> documents_now or kept_before <> kept_now
order by
    abs(documents_now - documents_before) + abs(kept_now - kept_before) desc,
    source_group
limit $top
