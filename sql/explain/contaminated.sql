-- grain: one row per field of an evaluation item that the document holds, the surest first
-- inputs: contaminated
-- params: row_key, most (rows returned)
select
    file,
    item_row,
    field,
    item_words,
    rule,
    certainty,
    matched_words,
    longest_run,
    shared,
    shingles,
    start_byte,
    end_byte
from read_parquet($contaminated)
where row_key = $row_key
order by
    rule = 'beside',
    list_position(['all', 'most', 'part'], certainty),
    matched_words desc,
    file,
    item_row,
    field
limit $most
