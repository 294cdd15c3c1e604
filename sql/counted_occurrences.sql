-- grain: one row per occurrence of a repeated window, in text order
-- inputs: $occurrences (files of occurrences), $windows (files of windows)
-- params: none
with occurrences as (
    select row_key, word, hash from read_parquet($occurrences)
),

windows as (
    select hash, occurrences, documents from read_parquet($windows)
)

select o.row_key, o.word, o.hash, w.occurrences, w.documents
from occurrences as o
inner join windows as w on o.hash = w.hash
order by o.row_key, o.word
