-- grain: one row per verified pair of the document's text, the closest first
-- inputs: pairs, counts
-- params: representative (of the document), most (rows returned)
with pairs as (
    select
        case when a = $representative then b else a end as other,
        inter,
        "union" as total,
        jaccard
    from read_parquet($pairs)
    where a = $representative or b = $representative
)

select
    pairs.other,
    counts.doc_id,
    counts.split,
    counts.words,
    counts.symbols,
    pairs.inter,
    pairs.total,
    pairs.jaccard
from pairs
inner join read_parquet($counts) as counts on pairs.other = counts.row_key
order by pairs.jaccard desc, pairs.other
limit $most
