-- grain: one row per source group, kind and whether a rule took it, of documents with a forecast
-- inputs: documents, decisions, document_risk
-- params: likely (risk at or above which a document that repeats nothing is of the kind "risk")
with documents as (
    select row_key, source_group, keeper, method, text_bytes, words
    from read_parquet($documents)
),

decisions as (
    select row_key, action = 'drop' as done, reason
    from read_parquet($decisions)
),

forecast as (
    select row_key, risk, cast(round(expected_tokens * 1000) as bigint) as expected_millitokens
    from read_parquet($document_risk)
    where risk is not null
),

told as (
    select
        documents.source_group,
        case
            when decisions.done and decisions.reason in ('personal', 'contaminated', 'forgotten')
                then decisions.reason
            when documents.keeper is not null then documents.method
            when decisions.done then decisions.reason
            when forecast.risk >= $likely then 'risk'
            else 'none'
        end as kind,
        decisions.done,
        documents.text_bytes,
        documents.words,
        forecast.risk >= $likely as risky,
        forecast.expected_millitokens
    from forecast
    inner join documents on forecast.row_key = documents.row_key
    inner join decisions on forecast.row_key = decisions.row_key
)

select
    source_group,
    kind,
    done,
    cast(count(*) as bigint) as documents,
    cast(count(*) filter (where risky) as bigint) as risky,
    cast(sum(text_bytes) as bigint) as text_bytes,
    cast(sum(words) as bigint) as words,
    cast(sum(expected_millitokens) // 1000 as bigint) as expected_tokens
from told
group by source_group, kind, done
order by expected_tokens desc, source_group, kind, done
