-- grain: one row per window that occurs more than once
-- inputs: $occurrences (files of occurrences)
-- params: none
with occurrences as (
    select hash, first from read_parquet($occurrences)
)

select
    hash,
    count(*) as occurrences,
    cast(count(*) filter (where first) as bigint) as documents
from occurrences
group by hash
having count(*) > 1
order by hash
