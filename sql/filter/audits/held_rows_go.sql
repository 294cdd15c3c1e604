-- grain: one row per document that goes as held by the other run without proof, or stays; must be none
-- inputs: $decisions, $held (files), spared (row_key)
-- params: $near_t, $near_b (of near.threshold), $inside_t, $inside_b (of near.containment)
with decisions as (
    select row_key, action, rule, reason from read_parquet($decisions)
),

proved as (
    select row_key
    from read_parquet($held)
    where
        case method
            when 'exact' then score = 1
            when 'near' then shared * $near_b >= total * $near_t
            when 'contained' then $inside_t > 0 and shared * $inside_b >= total * $inside_t
            else false
        end
)

select coalesce(d.row_key, p.row_key) as row_key
from decisions as d
full join proved as p on d.row_key = p.row_key
where
    d.row_key is null
    or (d.reason = 'held' and (d.action <> 'drop' or p.row_key is null))
    or (
        p.row_key is not null
        and d.action <> 'drop'
        and d.row_key not in (select s.row_key from spared as s)
    )
order by row_key
