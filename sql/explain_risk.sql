-- grain: one row, the document's riskiest sequence
-- inputs: risk, document_risk
-- params: row_key
with whole as (
    select row_key, risk, risk_low, risk_high, kind, expected_tokens, scored_share
    from read_parquet($document_risk)
    where row_key = $row_key
),

riskiest as (
    select row_key, start_byte, end_byte, basis, extrapolated
    from read_parquet($risk)
    where row_key = $row_key
    order by risk desc nulls last, start_byte
    limit 1
)

select
    whole.risk,
    whole.risk_low,
    whole.risk_high,
    whole.kind,
    whole.expected_tokens,
    whole.scored_share,
    riskiest.start_byte,
    riskiest.end_byte,
    riskiest.basis,
    riskiest.extrapolated
from whole
inner join riskiest on whole.row_key = riskiest.row_key
order by whole.row_key
