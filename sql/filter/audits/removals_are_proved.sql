-- grain: one row per removal that is not proved, or whose keeper goes or is of another split; must be none
-- inputs: $documents, $pairs, $contained (files)
-- params: $top, $bottom (of near.threshold), $most, $whole (of near.containment), $across (splits)
with documents as (
    select row_key, representative, split, keeper, method, score from read_parquet($documents)
),

pairs as (
    select a, b, jaccard
    from read_parquet($pairs)
    where cast(inter as hugeint) * $bottom >= cast("union" as hugeint) * $top
),

contained as (
    select document, container, containment
    from read_parquet($contained)
    where cast(inter as hugeint) * $whole >= cast(size as hugeint) * $most
),

proofs as (
    select 'near' as method, a as own, b as other, jaccard as score from pairs
    union all
    select 'near' as method, b as own, a as other, jaccard as score from pairs
    union all
    select 'contained' as method, document as own, container as other, containment as score
    from contained
),

removed as (
    select d.row_key, d.method, d.score, d.representative as own, k.representative as other
    from documents as d
    left join documents as k
        on d.keeper = k.row_key and k.keeper is null and ($across or d.split is not distinct from k.split)
    where d.keeper is not null
)

select r.row_key
from removed as r
anti join proofs as p
    on r.method = p.method and r.own = p.own and r.other = p.other and r.score = p.score
where not coalesce(r.method = 'exact' and r.own = r.other and r.score = 1, false)
order by r.row_key
