-- grain: one row per document of a source group that is shown apart
-- inputs: $documents (files)
-- params: $groups (source groups)
select row_key
from read_parquet($documents)
where list_contains($groups, source_group)
order by row_key
