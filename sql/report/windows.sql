-- grain: one row for the corpus
-- inputs: windows
-- params: none
select
    cast(count(*) as bigint) as repeated_windows,
    cast(coalesce(sum(occurrences), 0) as bigint) as occurrences,
    cast(coalesce(max(occurrences), 0) as bigint) as largest,
    cast(count(*) filter (where documents > 1) as bigint) as across_documents
from read_parquet($windows)
where occurrences > 1
order by repeated_windows
