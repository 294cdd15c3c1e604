-- grain: one row per value, the one of highest risk first, then the one that occurs most
-- inputs: $personal, $decisions (files), cuts, risk (their columns), apart (row_key)
-- params: $top (rows returned)
with decisions as (
    select row_key, action, coalesce(reason, '') = 'forgotten' as forgotten from read_parquet($decisions)
),

finds as (
    select f.row_key, f.start_byte, f.end_byte, f.kind, f.value_hash, d.action
    from read_parquet($personal) as f
    inner join decisions as d on f.row_key = d.row_key
    where not d.forgotten and f.row_key not in (select a.row_key from apart as a)
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
    inner join cuts as c
        on f.row_key = c.row_key and f.start_byte < c.end_byte and f.end_byte > c.start_byte
    where f.action = 'cut'
),

placed as (
    select f.*, r.risk, f.action <> 'drop' and c.row_key is null as stays
    from finds as f
    left join changed as c on f.row_key = c.row_key and f.start_byte = c.start_byte
    left join risks as r on f.row_key = r.row_key and f.start_byte = r.start_byte
),

ranked as (
    select
        *,
        row_number() over (
            partition by kind, value_hash
            order by risk desc nulls last, not stays, row_key, start_byte
        ) as place,
        count(*) over (partition by kind, value_hash) as finds,
        count(*) filter (where stays) over (partition by kind, value_hash) as left_in_kept
    from placed
)

select
    kind,
    row_key,
    start_byte,
    end_byte,
    risk,
    cast(finds as bigint) as finds,
    cast(left_in_kept as bigint) as left_in_kept
from ranked
where place = 1
order by risk desc nulls last, finds desc, kind, row_key, start_byte
limit $top
