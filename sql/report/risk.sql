-- grain: one row per measure and bucket of risk, $bins to the unit; null is "no forecast"
-- inputs: risk, document_risk
-- params: bins
with scored as (
    select 'sequences' as measure, risk
    from read_parquet($risk)
    union all
    select 'documents' as measure, risk
    from read_parquet($document_risk)
),

bucketed as (
    select
        measure,
        case
            when risk is null then null
            else least(cast(floor(risk * $bins) as bigint), cast($bins as bigint) - 1)
        end as bucket
    from scored
)

select
    measure,
    bucket,
    cast(count(*) as bigint) as scored
from bucketed
group by measure, bucket
order by measure, bucket nulls first
