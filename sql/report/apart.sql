-- grain: one row per source of the groups that are shown apart, by name
-- inputs: $documents, $decisions (files)
-- params: $groups (source groups), $top (rows returned)
with documents as (
    select
        row_key,
        coalesce(source, source_group) as source,
        text_hash,
        exact_count,
        near_count,
        max_window_count
    from read_parquet($documents)
    where list_contains($groups, source_group)
),

decisions as (
    select row_key, action from read_parquet($decisions)
)

select
    documents.source,
    cast(count(*) as bigint) as documents,
    cast(count(distinct documents.text_hash) as bigint) as distinct_texts,
    cast(max(documents.exact_count) as bigint) as exact_count,
    cast(max(documents.near_count) as bigint) as near_count,
    cast(max(documents.max_window_count) as bigint) as max_window_count,
    cast(count(*) filter (where decisions.action <> 'drop') as bigint) as kept
from documents
inner join decisions on documents.row_key = decisions.row_key
group by documents.source
order by documents.source
limit $top
