-- grain: one row per document and name that it answers to: its id, or shard#row
-- inputs: $counts (files), wanted (name, id, place: what to look for under that name)
-- params: none
with counts as (
    select
        row_key,
        doc_id,
        text_hash,
        shard || '#' || cast(row as varchar) as place
    from read_parquet($counts)
),

named as (
    select w.name, c.row_key
    from counts as c
    inner join wanted as w on c.doc_id = w.id
    union
    select w.name, c.row_key
    from counts as c
    inner join wanted as w on c.place = w.place
)

select
    n.name,
    c.row_key,
    c.doc_id,
    c.place,
    c.text_hash
from named as n
inner join counts as c on n.row_key = c.row_key
order by c.row_key, n.name
