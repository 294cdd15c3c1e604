-- grain: one row, the document's
-- inputs: documents, decisions
-- params: row_key
with documents as (
    select row_key, near_count, cluster, method, jaccard
    from read_parquet($documents)
    where row_key = $row_key
),

decisions as (
    select row_key, action, rule, reason, keeper
    from read_parquet($decisions)
    where row_key = $row_key
),

clusters as (
    select count(*) as members
    from read_parquet($documents)
    where cluster = (select cluster from documents)
)

select
    decisions.action,
    decisions.rule,
    decisions.reason,
    decisions.keeper,
    documents.near_count,
    documents.cluster,
    documents.method,
    documents.jaccard,
    cast(clusters.members as bigint) as members
from decisions
inner join documents on decisions.row_key = documents.row_key
cross join clusters
order by decisions.row_key
