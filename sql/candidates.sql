-- grain: one row per pair of representatives that share a bucket, a < b
-- inputs: $buckets (files of buckets)
-- params: $cap (members above which a bucket is not paired in full), $neighbours (partners there)
with members as (
    select band, bucket, rank, row_key, members from read_parquet($buckets)
),

reach as (
    select
        band,
        bucket,
        rank,
        row_key,
        least(members - rank, case when members > $cap then $neighbours else members end) as steps
    from members
),

steps as (
    select band, bucket, rank, row_key, unnest(range(1, steps + 1)) as step
    from reach
),

met as (
    select
        least(l.row_key, r.row_key) as a,
        greatest(l.row_key, r.row_key) as b
    from steps as l
    inner join members as r on l.band = r.band and l.bucket = r.bucket and l.rank + l.step = r.rank
)

select distinct a, b
from met
order by a, b
