-- grain: one row per document and first document that share a repeated window
-- inputs: $occurrences (files of occurrences), $windows (files of windows)
-- params: $link_documents (a window in more documents links nothing)
with linking as (
    select hash from read_parquet($windows) where documents between 2 and $link_documents
),

holders as (
    select o.hash, o.row_key
    from read_parquet($occurrences) as o
    inner join linking as l on o.hash = l.hash
    where o.first
),

heads as (
    select hash, min(row_key) as head from holders group by hash
)

select distinct h.head as a, o.row_key as b
from holders as o
inner join heads as h on o.hash = h.hash
where h.head <> o.row_key
order by a, b
