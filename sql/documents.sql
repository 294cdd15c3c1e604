-- grain: one row per accepted document
-- inputs: $counts, $keepers (files)
-- params: none
with counts as (
    select
        row_key,
        doc_id,
        shard,
        row,
        source,
        source_group,
        priority,
        text_bytes,
        words,
        text_hash,
        representative,
        exact_count,
        effective_count,
        near_capped,
        family,
        max_window_count,
        repeated_words
    from read_parquet($counts)
),

keepers as (
    select row_key, near_count, cluster, keeper, method, jaccard from read_parquet($keepers)
)

select
    c.row_key,
    c.doc_id,
    c.shard,
    c.row,
    c.source,
    c.source_group,
    c.priority,
    c.text_bytes,
    c.words,
    c.text_hash,
    c.representative,
    c.exact_count,
    c.effective_count,
    c.near_capped,
    c.family,
    c.max_window_count,
    c.repeated_words,
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
