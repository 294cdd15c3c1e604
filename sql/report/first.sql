-- grain: one row per source group, kind of repetition and whether a rule took it; most repeated words first
-- inputs: documents, decisions, spans
-- params: top (rows returned)
with documents as (
    select row_key, shard, row, source_group, keeper, method, text_bytes, words, repeated_words
    from read_parquet($documents)
),

decisions as (
    select row_key, action, reason
    from read_parquet($decisions)
),

decided as (
    select
        documents.*,
        decisions.action,
        decisions.reason
    from documents
    inner join decisions on documents.row_key = decisions.row_key
),

gone as (
    select row_key from decided where action = 'drop'
),

whole as (
    select
        source_group,
        case when keeper is not null then method else reason end as kind,
        action = 'drop' as done,
        text_bytes,
        words
    from decided
    where
        case
            when action = 'drop' then reason not in ('personal', 'contaminated', 'forgotten')
            else coalesce(keeper not in (select gone.row_key from gone), false)
        end
),

occurrences as (
    select
        spans.row_key,
        spans.words,
        row_number() over (
            partition by spans.window order by decided.shard, decided.row, spans.start_byte
        ) as place
    from read_parquet($spans) as spans
    inner join decided on spans.row_key = decided.row_key
    where decided.action <> 'drop'
),

again as (
    select row_key, cast(sum(words) as bigint) as words
    from occurrences
    where place > 1
    group by row_key
),

passages as (
    select
        decided.source_group,
        'passage' as kind,
        coalesce(decided.reason = 'repeated', false) as done,
        decided.text_bytes,
        least(again.words, decided.repeated_words) as words
    from again
    inner join decided on again.row_key = decided.row_key
    where decided.keeper is null or decided.keeper in (select gone.row_key from gone)
),

both_kinds as (
    select * from whole
    union all
    select * from passages
)

select
    source_group,
    kind,
    done,
    cast(count(*) as bigint) as documents,
    cast(sum(text_bytes) as bigint) as text_bytes,
    cast(sum(words) as bigint) as words
from both_kinds
group by source_group, kind, done
order by words desc, source_group, kind, done
limit $top
