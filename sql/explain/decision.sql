-- grain: one row, the document's
-- inputs: documents, decisions
-- params: row_key
with documents as (
    select row_key, near_count, cluster, method, score
    from read_parquet($documents)
    where row_key = $row_key
),

decisions as (
    select row_key, action, rule, reason, keeper, risk_after
    from read_parquet($decisions)
    where row_key = $row_key
),

standing as (
    select count(*) as rows_standing_for
    from read_parquet($decisions)
    where keeper = $row_key
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
    decisions.risk_after,
    documents.near_count,
    documents.cluster,
    documents.method,
    documents.score,
    cast(clusters.members as bigint) as members,
    cast(standing.rows_standing_for as bigint) as rows_standing_for
from decisions
inner join documents on decisions.row_key = documents.row_key
cross join clusters
cross join standing
order by decisions.row_key
