-- grain: one row per bucket that is not paired in full
-- inputs: $buckets (files of buckets)
-- params: $cap (members above which a bucket is not paired in full)
with buckets as (
    select band, bucket, members from read_parquet($buckets)
)

select distinct band, bucket, members
from buckets
where members > $cap
order by band, bucket
