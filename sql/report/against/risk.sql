-- grain: one row per run: before (now is false), and now; also of a run without a row
-- inputs: document_risk, document_risk_before
-- params: none
with sides as (
    select unnest([true, false]) as now
),

both_runs as (
    select true as now, risk, expected_tokens
    from read_parquet($document_risk)
    union all
    select false as now, risk, expected_tokens
    from read_parquet($document_risk_before)
)

select
    s.now,
    cast(count(risk) as bigint) as scored,
    cast(count(*) filter (where risk >= 0.5) as bigint) as risky,
    cast(coalesce(sum(cast(round(expected_tokens * 1000) as bigint)), 0) // 1000 as bigint) as tokens_at_risk
from sides as s
left join both_runs as b on s.now = b.now
group by s.now
order by s.now
