-- grain: one row, the verified pair of two texts; none when they were never paired
-- inputs: pairs
-- params: a, b (representatives, a < b)
select
    inter,
    "union" as total,
    jaccard
from read_parquet($pairs)
where a = $a and b = $b
order by a, b
