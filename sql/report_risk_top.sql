-- grain: one row per document, the riskiest first, each with its riskiest sequence
-- inputs: risk, document_risk, decisions
-- params: top (rows returned)
with highest as (
    select row_key, risk, risk_low, risk_high, kind, expected_tokens, scored_share
    from read_parquet($document_risk)
    where risk is not null
    order by risk desc, expected_tokens desc, row_key
    limit $top
),

sequences as (
    select risk.row_key, risk.start_byte, risk.end_byte, risk.risk
    from read_parquet($risk) as risk
    inner join highest on risk.row_key = highest.row_key
),

riskiest as (
    select row_key, start_byte, end_byte
    from sequences
    qualify row_number() over (partition by row_key order by risk desc nulls last, start_byte) = 1
),

decisions as (
    select decided.row_key, decided.action, decided.reason
    from read_parquet($decisions) as decided
    inner join highest on decided.row_key = highest.row_key
)

select
    highest.row_key,
    highest.risk,
    highest.risk_low,
    highest.risk_high,
    highest.kind,
    highest.expected_tokens,
    highest.scored_share,
    riskiest.start_byte,
    riskiest.end_byte,
    decisions.action,
    decisions.reason
from highest
inner join riskiest on highest.row_key = riskiest.row_key
inner join decisions on highest.row_key = decisions.row_key
order by highest.risk desc, highest.expected_tokens desc, highest.row_key
