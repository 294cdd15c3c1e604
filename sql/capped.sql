-- grain: one row
-- inputs: $buckets (files of buckets)
-- params: $cap (members above which a bucket is not paired in full)
with buckets as (
    select band, bucket, row_key, members from read_parquet($buckets)
)

select
    count(distinct (band, bucket)) filter (where members > $cap) as capped_buckets,
    count(distinct row_key) filter (where members > $cap) as capped_documents,
    coalesce(max(members), 0) as largest_bucket
from buckets
order by capped_buckets
