-- grain: one row per evaluation item that documents hold, the item of most documents first
-- inputs: contaminated
-- params: top (rows returned)
with held as (
    select row_key, file, item_row, field, certainty
    from read_parquet($contaminated)
    where rule <> 'beside'
)

select
    file,
    item_row,
    field,
    cast(count(*) as bigint) as documents,
    cast(count(*) filter (where certainty = 'all') as bigint) as whole,
    cast(count(*) filter (where certainty = 'most') as bigint) as most,
    min(row_key) as row_key
from held
group by file, item_row, field
order by documents desc, file, item_row, field
limit $top
