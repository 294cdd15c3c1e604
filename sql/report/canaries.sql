-- grain: one row: documents that are canaries of rote, by an id that begins with the hash of their text
-- inputs: documents
-- params: named (what their ids begin with)
with documents as (
    select
        doc_id,
        text_hash,
        lower(left(hex(text_hash), 16)) as name
    from read_parquet($documents)
),

canaries as (
    select
        doc_id,
        text_hash
    from documents
    where starts_with(doc_id, concat($named, name, '-'))
)

select
    cast(count(*) as bigint) as documents,
    cast(count(distinct text_hash) as bigint) as texts
from canaries
order by documents
