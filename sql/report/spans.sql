-- grain: one row per repeated text, those with most to cut from kept rows first; at most one from a document
-- inputs: $spans, $decisions (files), apart (row_key of documents that are left out)
-- params: top (rows returned)
with decisions as (
    select row_key, action <> 'drop' as kept
    from read_parquet($decisions)
),

spans as (
    select
        spans.row_key,
        spans.start_byte,
        spans.end_byte,
        spans.words,
        spans.max_count,
        spans.documents,
        spans.window,
        count(*) filter (where decisions.kept) over (partition by spans.window) as kept_occurrences
    from read_parquet($spans) as spans
    inner join decisions on spans.row_key = decisions.row_key
    where spans.row_key not in (select apart.row_key from apart)
),

texts as (
    select *
    from spans
    qualify row_number() over (partition by "window" order by words, row_key, start_byte) = 1
),

spread as (
    select
        *,
        words * greatest(kept_occurrences - 1, 0) as words_to_cut
    from texts
    qualify row_number() over (
        partition by row_key
        order by
            words * greatest(kept_occurrences - 1, 0) desc,
            max_count desc,
            documents desc,
            words desc,
            start_byte
    ) = 1
)

select
    row_key,
    start_byte,
    end_byte,
    words,
    max_count as occurrences,
    documents,
    cast(kept_occurrences as bigint) as kept_occurrences,
    cast(words_to_cut as bigint) as words_to_cut
from spread
order by words_to_cut desc, max_count desc, documents desc, words desc, row_key, start_byte
limit $top
