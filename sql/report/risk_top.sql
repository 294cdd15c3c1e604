-- grain: one row per text, the riskiest first, with its riskiest sequence; a copy that stays stands for it
-- inputs: $documents, $risk, $document_risk, $decisions (files), apart (row_key of those left out)
-- params: top (rows returned)
with documents as (
    select row_key, representative
    from read_parquet($documents)
),

decisions as (
    select row_key, action, reason
    from read_parquet($decisions)
),

forecast as (
    select row_key, risk, risk_low, risk_high, kind, expected_tokens, scored_share
    from read_parquet($document_risk)
    where risk is not null and row_key not in (select apart.row_key from apart)
),

texts as (
    select
        forecast.*,
        documents.representative,
        decisions.action,
        decisions.reason
    from forecast
    inner join documents on forecast.row_key = documents.row_key
    inner join decisions on forecast.row_key = decisions.row_key
    qualify row_number() over (
        partition by documents.representative
        order by decisions.action = 'drop', forecast.row_key
    ) = 1
),

highest as (
    select *
    from texts
    order by risk desc, expected_tokens desc, row_key
    limit $top
),

riskiest as (
    select sequences.row_key, sequences.start_byte, sequences.end_byte
    from read_parquet($risk) as sequences
    inner join highest on sequences.row_key = highest.representative
    qualify row_number() over (
        partition by sequences.row_key
        order by sequences.risk desc nulls last, sequences.start_byte
    ) = 1
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
    highest.action,
    highest.reason
from highest
inner join riskiest on highest.representative = riskiest.row_key
order by highest.risk desc, highest.expected_tokens desc, highest.row_key
