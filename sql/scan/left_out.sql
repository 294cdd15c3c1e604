-- grain: one row per sampled pair of members of a capped bucket
-- inputs: $buckets (files of buckets), sample (pair, band, bucket, low, high: two ranks)
-- params: $cap (members above which a bucket is not paired in full), $neighbours (partners there)
with members as (
    select band, bucket, rank, row_key, members from read_parquet($buckets)
),

sampled as (
    select s.pair, l.row_key as a, h.row_key as b
    from sample as s
    inner join members as l on s.band = l.band and s.bucket = l.bucket and s.low = l.rank
    inner join members as h on s.band = h.band and s.bucket = h.bucket and s.high = h.rank
),

shared as (
    select p.pair, x.members, abs(x.rank - y.rank) as apart
    from sampled as p
    inner join members as x on p.a = x.row_key
    inner join members as y on p.b = y.row_key and x.band = y.band and x.bucket = y.bucket
)

select
    pair,
    count(*) as equal,
    count(*) filter (where members > $cap) as together,
    bool_or(members <= $cap or apart <= $neighbours) as found
from shared
group by pair
order by pair
