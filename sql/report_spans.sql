-- grain: one row per repeated text, the most repeated first; at most one from a document
-- inputs: spans
-- params: top (rows returned)
with spans as (
    select row_key, start_byte, end_byte, words, max_count, documents, "window"
    from read_parquet($spans)
),

texts as (
    select row_key, start_byte, end_byte, words, max_count, documents
    from spans
    qualify row_number() over (partition by "window" order by words, row_key, start_byte) = 1
),

spread as (
    select row_key, start_byte, end_byte, words, max_count, documents
    from texts
    qualify row_number() over (
        partition by row_key
        order by max_count desc, documents desc, words desc, start_byte
    ) = 1
)

select
    row_key,
    start_byte,
    end_byte,
    words,
    max_count as occurrences,
    documents
from spread
order by max_count desc, documents desc, words desc, row_key, start_byte
limit $top
