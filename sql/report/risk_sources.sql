-- grain: one row per source group with a forecast, the most expected tokens first
-- inputs: documents, document_risk
-- params: top (rows returned)
with documents as (
    select row_key, source_group
    from read_parquet($documents)
),

forecast as (
    select row_key, risk, expected_tokens
    from read_parquet($document_risk)
    where risk is not null
)

select
    documents.source_group,
    cast(count(*) as bigint) as documents,
    cast(count(*) filter (where forecast.risk >= 0.5) as bigint) as risky,
    max(forecast.risk) as largest,
    cast(coalesce(sum(cast(round(forecast.expected_tokens) as bigint)), 0) as bigint) as expected_tokens
from forecast
inner join documents on forecast.row_key = documents.row_key
group by documents.source_group
order by expected_tokens desc, documents.source_group
limit $top
