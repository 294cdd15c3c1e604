-- grain: one row per accepted document
-- inputs: $signatures (files of signatures)
-- params: none
with signatures as (
    select row_key, text_hash from read_parquet($signatures)
),

groups as (
    select text_hash, min(row_key) as representative, count(*) as exact_count
    from signatures
    group by text_hash
)

select
    s.row_key,
    g.representative,
    cast(g.exact_count as bigint) as exact_count
from signatures as s
inner join groups as g on s.text_hash = g.text_hash
order by s.row_key
