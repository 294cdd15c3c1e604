-- grain: one removed near copy of few words, with the row that stays; by row
-- inputs: documents, decisions
-- params: words (most of a text), top (rows returned)
with documents as (
    select row_key, keeper, method, words
    from read_parquet($documents)
),

decisions as (
    select row_key, action
    from read_parquet($decisions)
)

select
    documents.row_key,
    documents.keeper
from documents
inner join decisions on documents.row_key = decisions.row_key
where documents.method = 'near' and decisions.action = 'drop' and documents.words <= $words
order by documents.row_key
limit $top
