-- grain: one row for the corpus
-- inputs: documents
-- params: window_words (words in a window)
with documents as (
    select
        doc_id,
        text_hash,
        text_bytes,
        words,
        repeated_words,
        near_capped,
        family,
        cluster
    from read_parquet($documents)
),

ids as (
    select count(*) as uses
    from documents
    group by doc_id
),

duplicates as (
    select
        cast(count(*) filter (where uses > 1) as bigint) as duplicate_ids,
        cast(coalesce(sum(uses) filter (where uses > 1), 0) as bigint) as rows_with_duplicate_id
    from ids
),

clusters as (
    select count(*) as size
    from documents
    group by cluster
),

clustered as (
    select
        cast(count(*) filter (where size > 1) as bigint) as clusters,
        cast(coalesce(sum(size) filter (where size > 1), 0) as bigint) as clustered_documents
    from clusters
),

totals as (
    select
        cast(count(*) as bigint) as documents,
        cast(count(distinct text_hash) as bigint) as distinct_texts,
        cast(count(distinct family) as bigint) as families,
        cast(coalesce(sum(text_bytes), 0) as bigint) as text_bytes,
        cast(coalesce(sum(words), 0) as bigint) as words,
        cast(coalesce(sum(repeated_words), 0) as bigint) as repeated_words,
        cast(coalesce(sum(greatest(words - $window_words + 1, 0)), 0) as bigint) as windows,
        cast(count(*) filter (where near_capped) as bigint) as near_capped
    from documents
)

select
    totals.documents,
    totals.distinct_texts,
    totals.families,
    totals.text_bytes,
    totals.words,
    totals.repeated_words,
    totals.windows,
    totals.near_capped,
    duplicates.duplicate_ids,
    duplicates.rows_with_duplicate_id,
    clustered.clusters,
    clustered.clustered_documents
from totals
cross join duplicates
cross join clustered
order by totals.documents
