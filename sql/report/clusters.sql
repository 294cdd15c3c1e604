-- grain: one row per cluster of two or more documents, the largest first
-- inputs: $documents, $decisions (files), apart (row_key of documents that are left out)
-- params: top (clusters returned)
with documents as (
    select row_key, cluster, keeper, exact_count, text_hash, text_bytes
    from read_parquet($documents)
    where row_key not in (select apart.row_key from apart)
),

decisions as (
    select row_key, action
    from read_parquet($decisions)
),

largest as (
    select cluster, count(*) as members
    from documents
    group by cluster
    having count(*) > 1
    order by count(*) desc, cluster
    limit $top
),

chosen as (
    select
        documents.cluster,
        documents.row_key,
        documents.keeper,
        documents.text_hash,
        documents.text_bytes,
        decisions.action = 'drop' as dropped
    from documents
    inner join largest on documents.cluster = largest.cluster
    inner join decisions on documents.row_key = decisions.row_key
),

named as (
    select cluster, coalesce(keeper, row_key) as keeper, count(*) as rows_standing_for
    from chosen
    group by cluster, coalesce(keeper, row_key)
),

main_keeper as (
    select cluster, keeper, rows_standing_for
    from named
    qualify row_number() over (partition by cluster order by rows_standing_for desc, keeper) = 1
),

summed as (
    select
        cluster,
        cast(count(*) as bigint) as members,
        cast(count(*) filter (where not dropped) as bigint) as kept,
        cast(count(distinct text_hash) as bigint) as distinct_texts,
        cast(sum(text_bytes) as bigint) as text_bytes
    from chosen
    group by cluster
)

select
    summed.cluster,
    summed.members,
    summed.kept,
    summed.distinct_texts,
    summed.text_bytes,
    main_keeper.keeper,
    main_keeper.rows_standing_for
from summed
inner join main_keeper on summed.cluster = main_keeper.cluster
order by summed.members desc, summed.cluster
