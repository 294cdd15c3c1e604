-- grain: one row per source group that is large or alarms, the largest first; null, the last, is the others
-- inputs: documents, decisions
-- params: top (largest groups told apart), alarm_rows (a group of so many rows alarms above half removed)
with documents as (
    select row_key, source_group, text_bytes, words, repeated_words
    from read_parquet($documents)
),

decisions as (
    select
        row_key,
        action = 'drop' as dropped,
        coalesce(reason, '') as reason,
        coalesce(reason, '') in ('exact_copy', 'near_copy', 'contained', 'risk') as named
    from read_parquet($decisions)
),

summed as (
    select
        documents.source_group,
        count(*) as documents,
        count(*) filter (where not decisions.dropped) as kept,
        count(*) filter (where decisions.dropped and decisions.reason = 'exact_copy') as exact_copies,
        count(*) filter (where decisions.dropped and decisions.reason = 'near_copy') as near_copies,
        count(*) filter (where decisions.dropped and decisions.reason = 'contained') as contained,
        count(*) filter (where decisions.dropped and decisions.reason = 'risk') as risk,
        count(*) filter (where decisions.dropped and not decisions.named) as other,
        count(*) filter (where decisions.dropped) as removed,
        sum(documents.text_bytes) as text_bytes,
        coalesce(sum(documents.text_bytes) filter (where decisions.dropped), 0) as removed_bytes,
        sum(documents.words) as words,
        sum(documents.repeated_words) as repeated_words
    from documents
    inner join decisions on documents.row_key = decisions.row_key
    group by documents.source_group
),

ranked as (
    select
        *,
        row_number() over (order by documents desc, source_group) as place,
        documents >= $alarm_rows and 2 * removed > documents as alarms
    from summed
),

told as (
    select
        *,
        case when place <= $top or alarms then source_group end as told_group
    from ranked
)

select
    told_group as source_group,
    cast(count(*) as bigint) as groups,
    cast(sum(documents) as bigint) as documents,
    cast(sum(kept) as bigint) as kept,
    cast(sum(exact_copies) as bigint) as exact_copies,
    cast(sum(near_copies) as bigint) as near_copies,
    cast(sum(contained) as bigint) as contained,
    cast(sum(risk) as bigint) as risk,
    cast(sum(other) as bigint) as other,
    cast(sum(removed) as bigint) as removed,
    cast(sum(text_bytes) as bigint) as text_bytes,
    cast(sum(removed_bytes) as bigint) as removed_bytes,
    cast(sum(words) as bigint) as words,
    cast(sum(repeated_words) as bigint) as repeated_words
from told
group by told_group
order by told_group is null, sum(documents) desc, told_group
