-- grain: one row, the document's riskiest sequence
-- inputs: risk, document_risk
-- params: row_key, representative (of its exact copies: sequences are listed once a text)
with whole as (
    select row_key, risk, risk_low, risk_high, kind, expected_tokens, scored_share, last_exposure, spacing
    from read_parquet($document_risk)
    where row_key = $row_key
),

riskiest as (
    select start_byte, end_byte, basis, extrapolated
    from read_parquet($risk)
    where row_key = $representative
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
    whole.last_exposure,
    whole.spacing,
    riskiest.start_byte,
    riskiest.end_byte,
    riskiest.basis,
    riskiest.extrapolated
from whole
cross join riskiest
order by whole.row_key
