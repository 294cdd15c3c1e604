-- grain: one row: the words of the documents that are shown apart
-- inputs: $documents (files)
-- params: $groups (source groups)
select
    cast(coalesce(sum(words), 0) as bigint) as words,
    cast(coalesce(sum(repeated_words), 0) as bigint) as repeated_words
from read_parquet($documents)
where list_contains($groups, source_group)
order by words
