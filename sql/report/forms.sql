-- grain: one row: documents whose texts differ in form only from another text
-- inputs: signatures
-- params: none
with texts as (
    select text_hash, form_hash as form from read_parquet($signatures)
),

alike as (
    select form, count(*) as documents, count(distinct text_hash) as texts
    from texts
    group by form
    having count(distinct text_hash) > 1
)

select
    cast(coalesce(sum(documents), 0) as bigint) as documents,
    cast(coalesce(sum(texts), 0) as bigint) as texts,
    cast(count(*) as bigint) as alike
from alike
order by documents
