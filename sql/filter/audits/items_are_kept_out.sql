-- grain: one row per document that goes without an item it holds, or stays with one; there must be none
-- inputs: $decisions, $contaminated (files), spared (row_key)
-- params: $words, $cover_t, $cover_b, $near_t, $near_b, $inside_t, $inside_b (of decontaminate)
with decisions as (
    select row_key, action, reason from read_parquet($decisions)
),

proved as (
    select distinct row_key, action
    from read_parquet($contaminated)
    where
        case rule
            when 'run' then longest_run >= $words and matched_words * $cover_b >= item_words * $cover_t
            when 'whole' then matched_words = item_words
            when 'near' then shared * $near_b >= either * $near_t
            when 'contained' then shared * $inside_b >= shingles * $inside_t and shared > 0
            else false
        end
)

select d.row_key
from decisions as d
left join proved as p on d.row_key = p.row_key
where
    (d.reason = 'contaminated' and (d.action <> 'drop' or p.action is distinct from 'drop'))
    or (d.reason = 'item_cut' and (d.action <> 'cut' or p.action is distinct from 'cut'))
    or (
        p.action = 'drop'
        and d.action <> 'drop'
        and d.row_key not in (select s.row_key from spared as s)
    )
order by d.row_key
