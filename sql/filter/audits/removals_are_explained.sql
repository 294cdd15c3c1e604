-- grain: one row per decision without a rule, or with another keeper than was proved; there must be none
-- inputs: $decisions, $documents (files)
-- params: none
with decisions as (
    select row_key, action, rule, reason, keeper from read_parquet($decisions)
),

documents as (
    select row_key, keeper from read_parquet($documents)
)

select coalesce(d.row_key, p.row_key) as row_key
from decisions as d
full join documents as p on d.row_key = p.row_key
where
    d.row_key is null
    or p.row_key is null
    or (d.action <> 'keep' and (d.rule is null or d.reason is null))
    or (d.action <> 'drop' and d.keeper is not null)
    or (d.keeper is not null and d.keeper is distinct from p.keeper)
    or (
        d.action = 'drop'
        and d.keeper is null
        and d.reason not in ('risk', 'short', 'forgotten', 'contaminated', 'held', 'personal')
    )
order by row_key
