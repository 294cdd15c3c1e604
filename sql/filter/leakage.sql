-- grain: one row per two splits of which one has copies of documents of the other
-- inputs: $documents, $pairs (files)
-- params: $top, $bottom (of near.threshold)
-- exact, near: documents of the split with an exact, else only a near copy in the other
with documents as (
    select row_key, representative, split from read_parquet($documents) where split is not null
),

pairs as (
    select a, b
    from read_parquet($pairs)
    where cast(inter as hugeint) * $bottom >= cast("union" as hugeint) * $top
),

sizes as (
    select split, count(*) as documents from documents group by split
),

places as (
    select distinct representative, split from documents
),

links as (
    select a as own, b as other from pairs
    union all
    select b as own, a as other from pairs
),

exact as (
    select d.row_key, d.split, p.split as other_split
    from documents as d
    inner join places as p on d.representative = p.representative and d.split <> p.split
),

near as (
    select distinct d.row_key, d.split, p.split as other_split
    from documents as d
    inner join links as l on d.representative = l.own
    inner join places as p on l.other = p.representative and d.split <> p.split
    anti join exact as e on d.row_key = e.row_key and p.split = e.other_split
),

both_kinds as (
    select split, other_split, 1 as exact, 0 as near from exact
    union all
    select split, other_split, 0 as exact, 1 as near from near
)

select
    b.split,
    b.other_split,
    s.documents,
    cast(sum(b.exact) as bigint) as exact,
    cast(sum(b.near) as bigint) as near
from both_kinds as b
inner join sizes as s on b.split = s.split
group by b.split, b.other_split, s.documents
order by b.split, b.other_split
