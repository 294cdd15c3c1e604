-- grain: one row per document to forget
-- inputs: $documents (files), listed (text_hash), near (row_key)
-- params: none
-- a listed text, a near copy of a named one, or a row that has one of these as its keeper
with documents as (
    select row_key, representative, text_hash, keeper from read_parquet($documents)
),

texts as (
    select d.representative
    from documents as d
    inner join listed as l on d.text_hash = l.text_hash
    union
    select d.representative
    from documents as d
    inner join near as n on d.row_key = n.row_key
),

gone as (
    select d.row_key
    from documents as d
    inner join texts as t on d.representative = t.representative
)

select d.row_key
from documents as d
where
    d.row_key in (select gone.row_key from gone)
    or d.keeper in (select gone.row_key from gone)
order by d.row_key
