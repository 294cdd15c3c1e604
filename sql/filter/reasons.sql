-- grain: one row per reason of removal; `kept` for none
-- inputs: $decisions (files of decisions)
-- params: none
with decisions as (
    select coalesce(reason, 'kept') as reason from read_parquet($decisions)
)

select reason, count(*) as documents
from decisions
group by reason
order by reason
