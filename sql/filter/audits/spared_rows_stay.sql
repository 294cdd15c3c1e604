-- grain: one row per spared document that goes or is cut; there must be none but what is forgotten
-- inputs: $decisions (files), spared (row_key)
-- params: none
with decisions as (
    select row_key, action, rule from read_parquet($decisions)
)

select d.row_key
from decisions as d
inner join spared as s on d.row_key = s.row_key
where d.action <> 'keep' and d.rule <> 'forget'
order by d.row_key
