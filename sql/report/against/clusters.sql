-- grain: one row per cluster of two or more documents none of whose texts was there before, the largest first
-- inputs: documents, documents_before
-- params: top (rows returned)
with texts_before as (
    select distinct text_hash
    from read_parquet($documents_before)
),

documents as (
    select
        documents.cluster,
        documents.row_key,
        documents.source_group,
        documents.text_bytes,
        texts_before.text_hash is not null as known
    from read_parquet($documents) as documents
    left join texts_before on documents.text_hash = texts_before.text_hash
),

clusters as (
    select
        cluster,
        cast(count(*) as bigint) as members,
        cast(sum(text_bytes) as bigint) as text_bytes,
        arg_min(source_group, row_key) as source_group
    from documents
    group by cluster
    having count(*) > 1 and not bool_or(known)
)

select
    cluster,
    members,
    text_bytes,
    source_group,
    cast(count(*) over () as bigint) as new_clusters
from clusters
order by members desc, cluster
limit $top
