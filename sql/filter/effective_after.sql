-- grain: one row per wanted text, in order of representative
-- inputs: $copies (files of documents), $pairs (files), gone (row_key), wanted (representative)
-- params: none
-- effective count over the rows that stay, with the weights of sql/scan/counts.sql, in integer millionths
with copies as (
    select row_key, representative from read_parquet($copies)
),

pairs as (
    select a, b, inter, size_a, size_b from read_parquet($pairs)
),

sizes as (
    select c.representative, count(*) filter (where g.row_key is null) as staying
    from copies as c
    left join gone as g on c.row_key = g.row_key
    group by c.representative
),

neighbours as (
    select a as representative, b as neighbour, inter / cast(size_a as double) as share from pairs
    union all
    select b as representative, a as neighbour, inter / cast(size_b as double) as share from pairs
),

effective as (
    select
        n.representative,
        cast(sum(
            s.staying * cast(round(1e6 * exp(-0.113 - 3.50 * (1 - pow(n.share, 0.2)))) as bigint)
        ) as bigint) as millionths
    from neighbours as n
    inner join wanted as w on n.representative = w.representative
    inner join sizes as s on n.neighbour = s.representative
    group by n.representative
)

select
    s.representative,
    cast(s.staying as bigint) as exact_count,
    s.staying + coalesce(e.millionths, 0) / 1e6 as effective_count
from sizes as s
inner join wanted as w on s.representative = w.representative
left join effective as e on s.representative = e.representative
order by s.representative
