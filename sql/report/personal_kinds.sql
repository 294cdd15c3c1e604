-- grain: one row per kind of personal data, most finds first
-- inputs: $personal, $decisions (files), cuts, risk (their columns)
-- params: $likely (risk from which a find is likely to be recited)
with decisions as (
    select row_key, action from read_parquet($decisions)
),

finds as (
    select row_key, start_byte, end_byte, kind, value_hash from read_parquet($personal)
),

risks as (
    select f.row_key, f.start_byte, max(s.risk) as risk
    from finds as f
    inner join risk as s
        on f.row_key = s.row_key and f.start_byte < s.end_byte and f.end_byte > s.start_byte
    group by f.row_key, f.start_byte
),

changed as (
    select distinct f.row_key, f.start_byte
    from finds as f
    inner join decisions as d on f.row_key = d.row_key and d.action = 'cut'
    inner join cuts as c
        on f.row_key = c.row_key and f.start_byte < c.end_byte and f.end_byte > c.start_byte
)

select
    f.kind,
    cast(count(*) as bigint) as finds,
    cast(count(distinct f.value_hash) as bigint) as distinct_values,
    cast(count(distinct f.row_key) as bigint) as documents,
    cast(count(*) filter (where d.action <> 'drop' and c.row_key is null) as bigint) as left_in_kept,
    cast(count(r.risk) as bigint) as scored,
    cast(count(*) filter (where r.risk >= $likely) as bigint) as likely
from finds as f
inner join decisions as d on f.row_key = d.row_key
left join changed as c on f.row_key = c.row_key and f.start_byte = c.start_byte
left join risks as r on f.row_key = r.row_key and f.start_byte = r.start_byte
group by f.kind
order by finds desc, f.kind
