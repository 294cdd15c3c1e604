-- grain: one row per accepted document
-- inputs: $counts, $keepers (files)
-- params: none
with counts as (
    select * from read_parquet($counts)
),

keepers as (
    select row_key, near_count, cluster, keeper, method, jaccard from read_parquet($keepers)
)

select
    c.*,
    k.near_count,
    k.cluster,
    k.keeper,
    o.doc_id as keeper_doc_id,
    k.method,
    k.jaccard
from counts as c
inner join keepers as k on c.row_key = k.row_key
left join counts as o on k.keeper = o.row_key
order by c.row_key
