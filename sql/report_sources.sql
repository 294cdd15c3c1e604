-- grain: one row per source group, the largest first
-- inputs: documents, decisions
-- params: none
with documents as (
    select row_key, source_group, text_bytes, words, repeated_words
    from read_parquet($documents)
),

decisions as (
    select row_key, action, reason
    from read_parquet($decisions)
),

joined as (
    select
        documents.source_group,
        documents.text_bytes,
        documents.words,
        documents.repeated_words,
        decisions.action = 'drop' as dropped,
        coalesce(decisions.reason, '') as reason
    from documents
    inner join decisions on documents.row_key = decisions.row_key
)

select
    source_group,
    cast(count(*) as bigint) as documents,
    cast(count(*) filter (where not dropped) as bigint) as kept,
    cast(count(*) filter (where dropped and reason = 'exact_copy') as bigint) as exact_copies,
    cast(count(*) filter (where dropped and reason = 'near_copy') as bigint) as near_copies,
    cast(count(*) filter (where dropped and reason = 'risk') as bigint) as risk,
    cast(count(*) filter (where dropped and reason not in ('exact_copy', 'near_copy', 'risk')) as bigint) as other,
    cast(count(*) filter (where dropped) as bigint) as removed,
    cast(coalesce(sum(text_bytes), 0) as bigint) as text_bytes,
    cast(coalesce(sum(text_bytes) filter (where dropped), 0) as bigint) as removed_bytes,
    cast(coalesce(sum(words), 0) as bigint) as words,
    cast(coalesce(sum(repeated_words), 0) as bigint) as repeated_words
from joined
group by source_group
order by documents desc, source_group
