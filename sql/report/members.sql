-- grain: one row per chosen cluster and source group
-- inputs: documents
-- params: clusters (names of the clusters wanted)
with wanted as (
    select unnest($clusters) as cluster
),

documents as (
    select cluster, source_group
    from read_parquet($documents)
    where cluster in (select wanted.cluster from wanted)
)

select
    cluster,
    source_group,
    cast(count(*) as bigint) as members
from documents
group by cluster, source_group
order by cluster, members desc, source_group
