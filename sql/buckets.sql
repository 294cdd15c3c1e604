-- grain: one row per band and representative, in buckets of two or more
-- inputs: band_keys (stream of band, bucket, place, row_key)
-- params: none
-- place: a per-band hash of the text, so that the neighbours of a capped bucket differ from band to band
with keys as (
    select band, bucket, place, row_key from band_keys
),

sized as (
    select
        band,
        bucket,
        row_key,
        row_number() over (partition by band, bucket order by place, row_key) as rank,
        count(*) over (partition by band, bucket) as members
    from keys
)

select band, bucket, rank, row_key, members
from sized
where members > 1
order by band, bucket, rank
