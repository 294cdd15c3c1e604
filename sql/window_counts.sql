-- grain: one row per occurrence of a repeated window in the wanted documents, in text order
-- inputs: wanted (row_key), $occurrences (files of occurrences), $windows (files of windows)
-- params: none
with occurrences as (
    select hash, row_key, word from read_parquet($occurrences)
),

windows as (
    select hash, occurrences from read_parquet($windows)
),

chosen as (
    select occurrences.hash, occurrences.row_key, occurrences.word
    from occurrences
    semi join wanted on occurrences.row_key = wanted.row_key
)

select
    chosen.row_key,
    cast(chosen.word as bigint) as word,
    windows.occurrences
from chosen
inner join windows on chosen.hash = windows.hash
order by chosen.row_key, chosen.word
