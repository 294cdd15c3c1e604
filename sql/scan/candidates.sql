-- grain: one row per pair of representatives that share a bucket, a < b
-- inputs: met (stream of a, b)
-- params: none
select distinct a, b
from met
order by a, b
