-- grain: one row per chosen cluster and source group
-- inputs: documents
-- params: clusters (names of the clusters wanted)
with documents as (
    select cluster, source_group
    from read_parquet($documents)
    where list_contains($clusters, cluster)
)

select
    cluster,
    source_group,
    cast(count(*) as bigint) as members
from documents
group by cluster, source_group
order by cluster, members desc, source_group
