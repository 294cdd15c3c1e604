-- grain: one row per document that stays with personal data that a rule was to take; there must be none
-- inputs: $decisions, $cuts, $personal (files), masking, dropping (row_key of those the rules are for)
-- params: $least (finds of a document that drop-personal takes)
with decisions as (
    select row_key, action, reason from read_parquet($decisions)
),

finds as (
    select row_key, start_byte, end_byte from read_parquet($personal)
),

taken as (
    select
        f.row_key,
        f.start_byte,
        sum(least(c.end_byte, f.end_byte) - greatest(c.start_byte, f.start_byte)) as bytes
    from finds as f
    inner join
        read_parquet($cuts) as c
        on f.row_key = c.row_key and f.start_byte < c.end_byte and f.end_byte > c.start_byte
    group by f.row_key, f.start_byte
),

whole as (
    select f.row_key
    from finds as f
    left join taken as t on f.row_key = t.row_key and f.start_byte = t.start_byte
    where coalesce(t.bytes, 0) < f.end_byte - f.start_byte
),

held as (
    select row_key, count(*) as finds from finds group by row_key
)

select d.row_key
from decisions as d
left join held as h on d.row_key = h.row_key
where
    (
        d.action <> 'drop'
        and d.row_key in (select m.row_key from masking as m)
        and d.row_key in (select w.row_key from whole as w)
    )
    or (
        d.action <> 'drop'
        and d.row_key in (select p.row_key from dropping as p)
        and h.finds >= $least
    )
    or (d.reason = 'personal_masked' and (d.action <> 'cut' or h.finds is null))
order by d.row_key
