-- grain: one row per bucket of Jaccard, $bins to the unit; the last bucket is Jaccard 1 alone
-- inputs: pairs
-- params: bins (buckets in [0, 1)), numerator and denominator of near.threshold
with pairs as (
    select
        cast(inter as bigint) as inter,
        cast("union" as bigint) as total,
        cast(inter as hugeint) * $denominator >= cast("union" as hugeint) * $numerator as near
    from read_parquet($pairs)
)

select
    (inter * cast($bins as bigint)) // total as bucket,
    cast(count(*) as bigint) as pairs,
    cast(count(*) filter (where near) as bigint) as near
from pairs
group by bucket
order by bucket
