-- grain: one row
-- inputs: $buckets (files of buckets)
-- params: $cap (members above which a bucket is not paired in full)
with buckets as (
    select band, bucket, row_key, members from read_parquet($buckets)
),

sized as (
    select distinct band, bucket, members from buckets
),

held as (
    select distinct row_key from buckets where members > $cap
)

select
    (select count(*) from sized where members > $cap) as capped_buckets,
    (select count(*) from held) as capped_documents,
    (select coalesce(max(members), 0) from sized) as largest_bucket
order by capped_buckets
