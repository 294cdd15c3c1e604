-- grain: one row per kind, basis and extrapolation flag
-- inputs: risk
-- params: none
select
    kind,
    basis,
    extrapolated,
    cast(count(*) as bigint) as sequences
from read_parquet($risk)
group by kind, basis, extrapolated
order by kind nulls last, basis, extrapolated
