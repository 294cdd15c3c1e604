-- grain: one row per document to forget
-- inputs: $documents, $pairs (files), listed (text_hash, named)
-- params: $top, $bottom (of near.threshold)
-- a listed text, a verified near copy of a named one, or a row that has one of these as its keeper
with documents as (
    select row_key, representative, text_hash, keeper from read_parquet($documents)
),

pairs as (
    select a, b
    from read_parquet($pairs)
    where cast(inter as hugeint) * $bottom >= cast("union" as hugeint) * $top
),

named as (
    select distinct d.representative
    from documents as d
    inner join listed as l on d.text_hash = l.text_hash
    where l.named
),

texts as (
    select d.representative
    from documents as d
    inner join listed as l on d.text_hash = l.text_hash
    union
    select p.b as representative
    from pairs as p
    inner join named as n on p.a = n.representative
    union
    select p.a as representative
    from pairs as p
    inner join named as n on p.b = n.representative
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
