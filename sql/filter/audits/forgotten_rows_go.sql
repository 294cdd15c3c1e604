-- grain: one row per document to forget that is not dropped; there must be none
-- inputs: $decisions (files), forgotten (row_key)
-- params: none
with decisions as (
    select row_key, action from read_parquet($decisions)
)

select f.row_key
from forgotten as f
left join decisions as d on f.row_key = d.row_key
where d.action is distinct from 'drop'
order by f.row_key
