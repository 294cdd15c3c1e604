-- grain: one row per removed document whose keeper is not kept; there must be none
-- inputs: $decisions (files of decisions)
-- params: none
with decisions as (
    select row_key, action, keeper from read_parquet($decisions)
)

select d.row_key
from decisions as d
left join decisions as k on d.keeper = k.row_key and k.action <> 'drop'
where d.keeper is not null and k.row_key is null
order by d.row_key
