-- grain: one row per sampled pair of members of a capped bucket
-- inputs: $buckets (files of buckets), sample (pair, band, bucket, low, high: two ranks)
-- params: $cap (members above which a bucket is not paired in full), $neighbours (partners there)
-- one join at a time, each materialized: in another order two members of a bucket meet before the
-- sample chooses them, which is the square of the bucket in rows, times the bands
with members as (
    select band, bucket, rank, row_key, members from read_parquet($buckets)
),

lower as materialized (
    select s.pair, s.band, s.bucket, s.high, m.row_key as a
    from sample as s
    inner join members as m on s.band = m.band and s.bucket = m.bucket and s.low = m.rank
),

sampled as materialized (
    select l.pair, l.a, m.row_key as b
    from lower as l
    inner join members as m on l.band = m.band and l.bucket = m.bucket and l.high = m.rank
),

held as materialized (
    select p.pair, p.b, m.band, m.bucket, m.rank, m.members
    from sampled as p
    inner join members as m on p.a = m.row_key
),

shared as (
    select h.pair, h.members, abs(h.rank - m.rank) as apart
    from held as h
    inner join members as m on h.b = m.row_key and h.band = m.band and h.bucket = m.bucket
)

select
    pair,
    count(*) as equal,
    count(*) filter (where members > $cap) as together,
    bool_or(members <= $cap or apart <= $neighbours) as found
from shared
group by pair
order by pair
