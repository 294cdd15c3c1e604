-- grain: one row per repeated span of the document, the most repeated first
-- inputs: spans
-- params: row_key, most (rows returned)
with spans as (
    select start_byte, end_byte, words, max_count, documents, "window"
    from read_parquet($spans)
    where row_key = $row_key
)

select
    start_byte,
    end_byte,
    words,
    max_count as occurrences,
    documents,
    "window",
    cast(count(*) over () as bigint) as spans
from spans
order by max_count desc, words desc, start_byte
limit $most
