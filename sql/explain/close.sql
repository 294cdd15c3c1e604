-- grain: one row per document id that resembles the one asked for, the closest first
-- inputs: counts
-- params: doc_id, most (rows returned)
with ids as (
    select distinct doc_id
    from read_parquet($counts)
),

measured as (
    select
        doc_id,
        jaro_winkler_similarity(lower(doc_id), lower($doc_id)) as similarity
    from ids
)

select
    doc_id,
    similarity
from measured
where similarity >= 0.7
order by similarity desc, doc_id
limit $most
