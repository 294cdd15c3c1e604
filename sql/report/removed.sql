-- grain: one row per rule and reason of what was removed: how much, and how much of it is nowhere else
-- inputs: documents, decisions, pairs
-- params: none
with documents as (
    select row_key, representative, text_bytes, words, method, score
    from read_parquet($documents)
),

decisions as (
    select row_key, rule, reason, keeper
    from read_parquet($decisions)
    where action = 'drop'
),

removed as (
    select
        decisions.rule,
        decisions.reason,
        documents.text_bytes,
        documents.words,
        documents.method,
        documents.score,
        documents.representative as own,
        keepers.representative as other
    from decisions
    inner join documents on decisions.row_key = documents.row_key
    left join documents as keepers on decisions.keeper = keepers.row_key
),

pairs as (
    select a, b, inter, size_a, size_b
    from read_parquet($pairs)
),

measured as (
    select
        removed.rule,
        removed.reason,
        removed.text_bytes,
        removed.words,
        case
            when removed.other is null then 1.0
            when removed.own = removed.other then 0.0
            when pairs.inter is not null
                then 1.0 - pairs.inter / if(removed.own = pairs.a, pairs.size_a, pairs.size_b)
            when removed.method = 'contained' then 1.0 - removed.score
            else 1.0
        end as lost_share
    from removed
    left join pairs
        on
            least(removed.own, removed.other) = pairs.a
            and greatest(removed.own, removed.other) = pairs.b
)

select
    rule,
    reason,
    cast(count(*) as bigint) as documents,
    cast(sum(text_bytes) as bigint) as text_bytes,
    cast(sum(words) as bigint) as words,
    cast(sum(cast(round(words * lost_share) as bigint)) as bigint) as lost_words
from measured
group by rule, reason
order by words desc, rule, reason
